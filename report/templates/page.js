// What the page does beyond being read. Every part finds its elements by itself and leaves the rest alone.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const reports = all(".report");
  const words = (element) => JSON.parse(element.closest(".report").dataset.words);
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const remember = (key, value) => {
    try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); } catch { return null; }
  };
  root.classList.add("js");

  // One dialog for all that opens; the browser keeps the focus in it and gives it back.
  const dialog = make("dialog");
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  function open(from, label, ...content) {
    const form = make("form", { method: "dialog" }, make("button", { textContent: words(from).close }));
    dialog.replaceChildren(form, ...content);
    dialog.lang = from.closest(".report").lang;
    dialog.setAttribute("aria-label", label);
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  // Languages: one is seen at a time; a link into another turns to it.
  function show(report) {
    const main = (r) => r.querySelector(".main");
    for (const other of reports) {
      other.hidden = other !== report;
      if (other === report) main(other).setAttribute("role", "main");
      else main(other).removeAttribute("role");
    }
    root.lang = report.lang;
    document.title = report.dataset.title;
    mark();
  }
  function turn() {
    const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    const report = target && target.closest(".report");
    if (report && report.hidden) { show(report); remember("language", report.lang); target.scrollIntoView(); }
  }

  // The contents say where the reader is.
  function mark() {
    const report = reports.find((r) => !r.hidden);
    const links = all("nav a", report);
    const above = links.filter((a) => document.getElementById(a.hash.slice(1)).getBoundingClientRect().top < innerHeight / 3);
    const here = above.at(-1) || links[0];
    for (const link of links) {
      if (link === here) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
    report.querySelector(".here").textContent = here.textContent;
  }
  const wide = matchMedia("(min-width: 66rem)");
  const fold = () => all(".toc").forEach((toc) => { toc.open = wide.matches; });
  wide.addEventListener("change", fold);
  all(".toc a").forEach((a) => a.addEventListener("click", () => { if (!wide.matches) a.closest("details").open = false; }));
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });

  // Light, dark, or as the machine has it.
  const themes = ["auto", "light", "dark"];
  function theme(name) {
    root.classList.remove(...themes);
    root.classList.add(name);
    all(".theme").forEach((button) => { button.textContent = words(button)[`theme_${name}`]; });
    remember("theme", name);
  }
  all(".toc").forEach((toc) => {
    const button = make("button", { className: "theme", type: "button" });
    button.addEventListener("click", () => theme(themes[(themes.findIndex((t) => root.classList.contains(t)) + 1) % 3]));
    toc.append(button);
  });

  // Figures open large.
  all(".sheet img").forEach((img) => {
    const enlarge = () => {
      const caption = img.closest("figure").querySelector("figcaption");
      open(img, img.alt, make("img", { src: img.src, alt: img.alt }), make("p", { textContent: caption.textContent }));
    };
    img.addEventListener("click", enlarge);
    const sheet = img.closest(".sheet");
    sheet.title = words(img).enlarge;
    sheet.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target !== sheet) return;
      event.preventDefault(); // or the same key would press the dialog's button
      enlarge();
    });
  });

  // A cell of a matrix opens its faces.
  all(".matrix a").forEach((link) => link.addEventListener("click", (event) => {
    event.preventDefault();
    const gallery = document.getElementById(link.hash.slice(1));
    const copy = gallery.cloneNode(true);
    copy.removeAttribute("id");
    open(link, copy.querySelector("h3").textContent, copy);
  }));
  all(".gallery").forEach((gallery) => all(".card ol", gallery).forEach((list) => {
    list.children[gallery.dataset.true].classList.add("true");
  }));

  // Steps become a slider.
  all(".control.slider").forEach((control) => {
    const radios = all("input", control);
    const names = all("label", control).map((label) => label.textContent.trim());
    const at = Math.max(0, radios.findIndex((radio) => radio.checked));
    const range = make("input", { type: "range", min: 0, max: radios.length - 1, value: at });
    const output = make("output");
    const go = () => {
      radios[range.value].checked = true;
      output.textContent = names[range.value];
      range.setAttribute("aria-valuetext", names[range.value]);
    };
    range.setAttribute("aria-label", control.querySelector("legend").textContent);
    range.addEventListener("input", go);
    all("label", control).forEach((label) => { label.hidden = true; label.style.display = "none"; });
    control.append(range, output);
    go();
  });

  // Curves are read off by pointer, or by arrow keys on the figure.
  all("[data-curves]").forEach((sheet) => {
    const axes = JSON.parse(sheet.dataset.curves);
    const img = sheet.querySelector("img");
    const plate = make("span", { className: "plate" });
    plate.style.cssText = img.style.cssText;
    img.replaceWith(plate);
    const rule = make("span", { className: "rule", hidden: true });
    const box = make("span", { className: "values", hidden: true });
    const said = make("span", { className: "hidden" });
    said.setAttribute("aria-live", "polite");
    plate.append(img, rule, box, said);
    let current = null;
    function read(axis, x) {
      const near = (s) => s.x.reduce((best, v, i) => (Math.abs(v - x) < Math.abs(s.x[best] - x) ? i : best), 0);
      const first = axis.series[0];
      const value = first.x[near(first)];
      current = { axis, value };
      const rows = axis.series.map((s) => ({ s, i: near(s) })).filter(({ s, i }) => Math.abs(s.x[i] - value) < 1e-9 || axis.series.length === 1);
      const title = `${axis.label || "x"} ${value}`;
      box.replaceChildren(title, ...rows.flatMap(({ s, i }) => {
        const dot = make("i");
        dot.style.background = s.color;
        return [make("br"), dot, `${s.name} ${s.text[i]}`];
      }));
      const [left, top, width, height] = axis.box;
      const [x0, x1] = axis.limits;
      const place = left + width * (value - x0) / (x1 - x0);
      Object.assign(rule.style, { left: `${100 * place}%`, top: `${100 * top}%`, height: `${100 * height}%` });
      Object.assign(box.style, place > 0.5 ? { left: "auto", right: `${100 * (1 - place) + 2}%` } : { right: "auto", left: `${100 * place + 2}%` });
      rule.hidden = box.hidden = false;
      return [title, ...rows.map(({ s, i }) => `${s.name} ${s.text[i]}`)].join(words(plate).separator);
    }
    const hide = () => { rule.hidden = box.hidden = true; };
    plate.addEventListener("pointermove", (event) => {
      const area = plate.getBoundingClientRect();
      const x = (event.clientX - area.left) / area.width;
      const y = (event.clientY - area.top) / area.height;
      const axis = axes.find(({ box: [l, t, w, h] }) => x >= l && x <= l + w && y >= t && y <= t + h);
      if (!axis) return hide();
      const [l, , w] = axis.box;
      const [x0, x1] = axis.limits;
      read(axis, x0 + (x1 - x0) * (x - l) / w);
    });
    plate.addEventListener("pointerleave", hide);
    sheet.addEventListener("blur", hide);
    sheet.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const places = axes.flatMap((axis) => axis.series[0].x.map((x) => ({ axis, x })));
      const at = current ? places.findIndex((p) => p.axis === current.axis && p.x === current.value) : -1;
      const next = places[Math.min(Math.max(at + step, 0), places.length - 1)];
      said.textContent = read(next.axis, next.x);
    });
  });

  // Tables are sorted by a column: up, down, and as they were.
  all("table.sortable").forEach((table) => {
    const body = table.tBodies[0];
    const before = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const number = (text) => (/^[-−+]?[\d,]*\.?\d+%?$/.test(text) ? Number.parseFloat(text.replace(/[,%]/g, "").replace("−", "-")) : NaN);
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", title: words(table).sort }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort || "none"];
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        if (next !== "none") head.setAttribute("aria-sort", next);
        const value = (row) => row.cells[column].textContent.trim();
        const compare = (a, b) => {
          const [x, y] = [number(value(a)), number(value(b))];
          return Number.isNaN(x) || Number.isNaN(y) ? value(a).localeCompare(value(b), table.closest(".report").lang) : x - y;
        };
        const sorted = next === "none" ? before : [...before].sort(compare);
        if (next === "descending") sorted.reverse();
        body.append(...sorted);
      });
    });
  });

  // Code is copied.
  all(".cell").forEach((cell) => {
    const button = make("button", { type: "button", textContent: words(cell).copy });
    button.addEventListener("click", async () => {
      const text = cell.querySelector("pre").textContent.trimEnd();
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = words(cell).copied;
        setTimeout(() => { button.textContent = words(cell).copy; }, 2000);
      } catch {
        getSelection().selectAllChildren(cell.querySelector("pre"));
      }
    });
    cell.append(button);
  });

  theme(themes.includes(remember("theme")) ? remember("theme") : "auto");
  fold();
  show(reports.find((r) => r.lang === remember("language")) || reports[0]);
  addEventListener("hashchange", turn);
  turn();
})();
