"""The command that measures."""

from deploy.options import DONE, FOUND_WRONG, AsJson


def bench(*, as_json: AsJson = False) -> int:
    """Measure how fast it is here, as ratios in one run."""
    from deploy.bench.command import in_words, run_bench  # noqa: PLC0415
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415

    result, wrong = run_bench()
    for said in wrong:
        progress(f"wrong: {said}")
    if as_json:
        show_json(result)
    else:
        show_lines(in_words(result))
    return FOUND_WRONG if wrong else DONE
