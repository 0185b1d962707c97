// Dark or light as the system says, until the button says otherwise; kept where the browser allows it.
const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
const kept = (work) => {
  try {
    return work(localStorage);
  } catch {
    return ""; // a browser that keeps nothing for files: the choice lasts for this page
  }
};
root.dataset.theme = kept((storage) => storage.getItem("theme")) || "";

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme"), contents = document.querySelector(".contents details");
  const label = () => (button.textContent = isDark() ? "Light" : "Dark");
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    kept((storage) => storage.setItem("theme", root.dataset.theme));
    label();
  });
  system.addEventListener("change", label);
  label();
  if (contents) contents.open = matchMedia("(min-width: 70rem)").matches;
});
