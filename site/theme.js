// Dark or light as the system says, until the button says otherwise; kept where the browser allows it.
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

try {
  root.dataset.theme = localStorage.getItem("theme") || "";
} catch {
  root.dataset.theme = "";
}

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const label = () => (button.textContent = isDark() ? "Light" : "Dark");
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // a browser that keeps nothing for files: the choice lasts for this page
    }
    label();
  });
  system.addEventListener("change", label);
  label();
  const contents = document.querySelector(".contents details");
  if (contents) contents.open = matchMedia("(min-width: 70rem)").matches;
});
