// Dark or light: as the system has it, until somebody says otherwise. Runs before the page is drawn.
(() => {
  const kept = (() => {
    try {
      return localStorage.getItem("femtoward-theme");
    } catch {
      return null; // storage is forbidden: nothing is kept
    }
  })();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  root.dataset.theme = kept === "dark" || kept === "light" ? kept : dark.matches ? "dark" : "light";
  dark.addEventListener("change", (event) => {
    if (!kept) root.dataset.theme = event.matches ? "dark" : "light";
  });
})();
