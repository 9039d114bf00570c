// Steps, which are radio buttons, become a slider; what was turned already is left alone.
for (const control of document.querySelectorAll(".fer-frames .control.slider:not(.slides)")) {
  const radios = [...control.querySelectorAll("input")];
  const names = radios.map((radio) => radio.closest("label").textContent.trim());
  const range = document.createElement("input");
  const output = document.createElement("output");
  Object.assign(range, { type: "range", min: 0, max: radios.length - 1, value: radios.findIndex((radio) => radio.checked) });
  range.setAttribute("aria-label", control.querySelector("legend").textContent);
  const go = () => {
    radios[range.value].checked = true;
    output.textContent = names[range.value];
    range.setAttribute("aria-valuetext", names[range.value]);
  };
  range.addEventListener("input", go);
  for (const radio of radios) Object.assign(radio.closest("label").style, { display: "none" });
  control.classList.add("slides");
  control.append(range, output);
  go();
}
