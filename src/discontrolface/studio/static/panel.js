// Sliders, made from the server's table of controls.

export class Panel {
  rows = new Map(); // key -> {row, input, shown, element}

  held = ""; // the key of the slider that is being dragged

  // moving(key, value): while a slider moves; moved(key, value): when it rests
  constructor(element, search, controls, groups, moving, moved) {
    for (const group of groups) {
      const own = controls.filter((row) => row.group === group);
      if (!own.length) continue;
      const box = document.createElement("details");
      box.dataset.group = group;
      box.open = ["head", "mouth", "eyes"].includes(group);
      const title = document.createElement("summary");
      title.textContent = group;
      box.append(title, ...own.map((row) => this.line(row, moving, moved)));
      element.append(box);
    }
    search.addEventListener("input", () => this.filter(element, search.value.trim().toLowerCase()));
  }

  line(row, moving, moved) {
    const line = document.createElement("label");
    line.className = "control";
    line.title = row.help + (row.unit ? ` In ${row.unit}.` : "");
    const name = document.createElement("span");
    name.textContent = row.label;
    const shown = document.createElement("output");
    const input = document.createElement(row.kind === "choice" ? "select" : "input");
    input.dataset.key = row.key;
    if (row.kind === "choice") {
      input.append(new Option("as it is", ""), ...row.choices.map((choice) => new Option(choice, choice)));
      input.addEventListener("change", () => input.value && moved(row.key, input.value));
    } else {
      Object.assign(input, { type: "range", min: row.low, max: row.high, step: row.step, value: 0 });
      input.addEventListener("input", () => {
        this.held = row.key;
        this.write(row, shown, input.value);
        moving(row.key, Number(input.value));
      });
      input.addEventListener("change", () => { this.held = ""; moved(row.key, Number(input.value)); });
    }
    line.append(name, input, shown);
    this.rows.set(row.key, { row, input, shown, element: line });
    return line;
  }

  write(row, shown, value) { shown.value = row.kind === "choice" ? "" : Number(value).toFixed(row.unit === "degrees" ? 1 : 2); }

  // All sliders at the values of a face; what a face does not show stands at 0.
  set(values) {
    for (const { row, input, shown } of this.rows.values()) {
      if (row.key === this.held) continue;
      input.value = row.kind === "choice" ? "" : (values[row.key] ?? 0);
      this.write(row, shown, values[row.key] ?? 0);
    }
  }

  filter(element, text) {
    for (const { row, element: line } of this.rows.values()) {
      const names = [row.label, row.name, row.key, row.group, ...row.also].join(" ").toLowerCase();
      line.hidden = text !== "" && !names.includes(text);
    }
    for (const box of element.querySelectorAll("details")) {
      const any = box.querySelector(".control:not([hidden])");
      box.hidden = !any;
      if (text && any) box.open = true;
    }
  }
}
