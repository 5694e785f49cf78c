// Before anything is painted: dark or light as the viewer chose, else as the system has it.
(function () {
  try {
    const chosen = localStorage.getItem("herd-theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // a browser that keeps nothing has the system's
  }
})();
