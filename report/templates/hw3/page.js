// What the page does beyond being read. Every part finds its elements by itself and leaves the rest alone.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const reports = all(".report");
  const seen = () => reports.find((r) => !r.hidden);
  const words = (element) => JSON.parse((element.closest(".report") || seen()).dataset.words);
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

  // Languages: one is seen at a time, at first the browser's; a link into another turns to it.
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
  function preferred() {
    const spoken = [remember("language"), ...navigator.languages].filter(Boolean).map((l) => l.split("-")[0]);
    for (const each of spoken) {
      const report = reports.find((r) => r.lang.split("-")[0] === each);
      if (report) return report;
    }
    return reports[0];
  }
  function turn() {
    const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    const report = target && target.closest(".report");
    if (report && report.hidden) { show(report); remember("language", report.lang); target.scrollIntoView(); }
    else if (report && target.matches("h3")) target.scrollIntoView(); // its id is younger than the link
  }
  // The switch leads to the same place of the other language: ids differ by their prefix only.
  const prefix = (report) => report.id.slice(0, -"top".length);
  function change(report) {
    const from = seen();
    const above = all("[id]", from).filter((e) => e.checkVisibility() && e.getBoundingClientRect().top < innerHeight / 3).at(-1) || from;
    const top = above.getBoundingClientRect().top;
    show(report);
    remember("language", report.lang);
    const twin = document.getElementById(prefix(report) + above.id.slice(prefix(from).length)) || report;
    scrollTo({ top: scrollY + twin.getBoundingClientRect().top - top, behavior: "instant" });
    history.replaceState(null, "", `#${twin.id}`); // where a reload leads
    all(".languages a", report).find((a) => a.checkVisibility())?.focus({ preventScroll: true });
    mark();
  }
  all(".languages a").forEach((a) => a.addEventListener("click", (event) => {
    event.preventDefault();
    change(document.getElementById(a.hash.slice(1)));
  }));

  // The contents say where the reader is, and show the sections there.
  all(".toc a").forEach((a) => {
    const chapter = document.getElementById(a.hash.slice(1));
    const sections = all("h3", chapter.parentElement);
    sections.forEach((h3, i) => { h3.id ||= `${chapter.id}-section-${i + 1}`; });
    if (sections.length) a.after(make("ol", {}, ...sections.map((h3) => make("li", {}, make("a", { href: `#${h3.id}`, textContent: h3.textContent })))));
  });
  function mark() {
    const report = seen();
    const links = all(".toc a", report);
    const above = links.filter((a) => document.getElementById(a.hash.slice(1)).getBoundingClientRect().top < innerHeight / 3);
    const end = scrollY + innerHeight > root.scrollHeight - 2; // where the last headings do not come up to the top
    const here = (end && links.find((a) => a.hash === location.hash)) || above.at(-1) || links[0];
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

  // Curves are read off by pointer, or by arrow keys on the figure.
  function readable(sheet) {
    const axes = JSON.parse(sheet.dataset.curves);
    const img = sheet.querySelector("img");
    const plate = make("span", { className: "plate" });
    plate.style.setProperty("--width", img.style.getPropertyValue("--width"));
    img.replaceWith(plate);
    const rule = make("span", { className: "rule", hidden: true });
    const box = make("div", { className: "values", hidden: true });
    const said = make("span", { className: "hidden" });
    said.setAttribute("aria-live", "polite");
    plate.append(img, rule);
    sheet.after(make("div", { className: "readout" }, box, said));
    let current = null;
    function read(axis, x) {
      const near = (s) => s.x.reduce((best, v, i) => (Math.abs(v - x) < Math.abs(s.x[best] - x) ? i : best), 0);
      const first = axis.series[0];
      const value = first.x[near(first)];
      current = { axis, value };
      const rows = axis.series.map((s) => ({ s, i: near(s) })).filter(({ s, i }) => Math.abs(s.x[i] - value) < 1e-9 || axis.series.length === 1);
      const where = axis.percent ? `${+(axis.percent * value).toFixed(1)}%` : `${+value.toPrecision(4)}`;
      const title = `${axis.label || "x"} ${where}`;
      box.replaceChildren(make("b", { textContent: title }), ...rows.map(({ s, i }) => {
        const dot = make("i");
        dot.style.background = s.color;
        return make("span", {}, dot, `${s.name} ${s.text[i]}`);
      }));
      const [left, top, width, height] = axis.box;
      const [x0, x1] = axis.limits;
      Object.assign(rule.style, { left: `${100 * (left + width * (value - x0) / (x1 - x0))}%`, top: `${100 * top}%`, height: `${100 * height}%` });
      rule.hidden = box.hidden = false;
      return [title, ...rows.map(({ s, i }) => `${s.name} ${s.text[i]}`)].join(words(sheet).separator);
    }
    const hide = () => { rule.hidden = box.hidden = true; };
    const follow = (event) => {
      const area = plate.getBoundingClientRect();
      const x = (event.clientX - area.left) / area.width;
      const y = (event.clientY - area.top) / area.height;
      const axis = axes.find(({ box: [l, t, w, h] }) => x >= l && x <= l + w && y >= t && y <= t + h);
      if (!axis) return hide();
      const [l, , w] = axis.box;
      const [x0, x1] = axis.limits;
      read(axis, x0 + (x1 - x0) * (x - l) / w);
    };
    plate.addEventListener("pointerdown", follow);
    plate.addEventListener("pointermove", follow);
    plate.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
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
  }

  // Figures and tables can be taken along: a picture as it is, a table as CSV.
  function save(caption, name, text, href) {
    const link = make("a", { className: "save", href: "#", download: name, textContent: text });
    link.addEventListener("click", () => { link.href = href(); });
    caption.append(link);
  }
  all("figure .sheet img").forEach((img) => {
    const kind = img.src.startsWith("data:image/svg") ? "svg" : "png";
    const figure = img.closest("figure");
    save(figure.querySelector("figcaption"), `${figure.id}.${kind}`, words(img).save.replace("{}", kind.toUpperCase()), () => (kind === "svg" ? img.src : png(img)));
  });
  function png(img) {
    const canvas = make("canvas", { width: img.naturalWidth, height: img.naturalHeight });
    canvas.getContext("2d").drawImage(img, 0, 0);
    return canvas.toDataURL();
  }
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  all(".main table:not(.matrix)").forEach((table) => {
    if (!table.caption || !table.id) return;
    const heads = [...table.rows].map((row) => [...row.cells].map((cell) => quoted((cell.querySelector("button") ?? cell).textContent.trim())).join(","));
    save(table.caption, `${table.id}.csv`, words(table).save.replace("{}", "CSV"), () => `data:text/csv;charset=utf-8,${encodeURIComponent(`\ufeff${heads.join("\r\n")}\r\n`)}`);
  });

  // Figures open large, where they can be read off too.
  all(".sheet").forEach((sheet) => {
    const img = sheet.querySelector("img");
    const enlarge = () => {
      const caption = sheet.closest("figure").querySelector("figcaption").cloneNode(true);
      all(".runs, .save", caption).forEach((part) => part.remove());
      const copy = sheet.cloneNode(false);
      copy.removeAttribute("title");
      copy.setAttribute("aria-label", img.alt);
      copy.append(make("img", { src: img.src, alt: img.alt }));
      open(sheet, img.alt, copy, make("p", { textContent: caption.textContent }));
      if (copy.dataset.curves) readable(copy);
    };
    img.addEventListener("click", enlarge);
    sheet.title = words(img).enlarge;
    sheet.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target !== sheet) return;
      event.preventDefault(); // or the same key would press the dialog's button
      enlarge();
    });
    if (sheet.dataset.curves) readable(sheet);
  });

  // A table that is wider than its frame stands as a list of its rows; what else is wider shows that it goes on.
  function stack(table, frame) {
    table.classList.remove("stacked");
    table.classList.toggle("stacked", table.offsetWidth > frame.clientWidth + 2);
  }
  all(".wide > table:not(.matrix)").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent);
    all("tbody tr", table).forEach((row) => [...row.cells].forEach((cell, i) => { cell.dataset.head = heads[i]; }));
  });
  const wider = (e) => {
    const table = e.querySelector(":scope > table:not(.matrix)");
    if (table) stack(table, e);
    e.classList.toggle("more", e.scrollWidth - e.clientWidth - e.scrollLeft > 2);
    e.style.setProperty("--above", `${e.querySelector("caption")?.offsetHeight ?? 0}px`);
  };
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => wider(entry.target)));
  all(".sheet, .wide").forEach((e) => {
    sizes.observe(e);
    e.addEventListener("scroll", () => wider(e), { passive: true });
  });

  // Runs lead to where the report says what they are.
  reports.forEach((report) => all(".runs code", report).forEach((code) => {
    const head = all("tbody th", report).find((th) => th.textContent === code.textContent);
    if (!head) return;
    const row = head.parentElement;
    row.id ||= `${prefix(report)}${code.textContent}`;
    code.replaceWith(make("a", { href: `#${row.id}` }, code.cloneNode(true)));
  }));

  // In the matrix the arrow keys go to the next row, too: the browser's own go to the next cell that has faces.
  all(".fer-cells .matrix").forEach((matrix) => matrix.addEventListener("keydown", (event) => {
    const step = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
    const cell = step && event.target.closest("td");
    if (!cell) return;
    event.preventDefault();
    for (let row = cell.parentElement[step]; row; row = row[step]) {
      const input = row.cells[cell.cellIndex].querySelector("input");
      if (input) { input.click(); input.focus(); break; }
    }
  }));

  // Tables are sorted by a column: up, down, and as they were.
  all("table.sortable").forEach((table) => {
    const body = table.tBodies[0];
    const before = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const number = (text) => (/^[-−+]?[\d,]*\.?\d+%?(?: \[.*\])?$/.test(text) ? Number.parseFloat(text.replace(/[,%]/g, "").replace("−", "-")) : NaN);
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
  show(preferred());
  addEventListener("hashchange", turn);
  turn();
})();
