// The keyboard: single keys, but never while somebody writes or a dialog is open.

/** @param {{[key: string]: () => void} & {arrow: (key: string) => boolean}} does */
export function listenToKeys(does) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    if (event.key.startsWith("Arrow")) {
      // Elsewhere arrows scroll.
      if (document.activeElement === document.body || event.target.closest("#tiles")) {
        if (does.arrow(event.key)) event.preventDefault();
      }
      return;
    }
    const key = event.key.toLowerCase();
    if (key === "arrow" || !Object.hasOwn(does, key)) return;
    event.preventDefault();
    does[key]();
  });
}
