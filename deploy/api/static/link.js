// Says once that somebody has seen the page: a robot that only fetches it has not.
function seen() {
  if (document.visibilityState !== "visible") return;
  document.removeEventListener("visibilitychange", seen);
  fetch(location.href, { method: "POST", body: new URLSearchParams({ do: "seen" }) });
}
document.addEventListener("visibilitychange", seen);
seen();
