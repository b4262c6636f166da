// What a page must keep, as functions that name each offender. Our own, since tests reach no other host.
(() => {
  const visible = (node) => {
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    return box.width > 1 && box.height > 1 && style.visibility !== "hidden" && !node.closest("[hidden], .hidden");
  };
  const rgb = (text) => {
    const parts = (text.match(/[\d.]+/g) ?? []).map(Number);
    return parts.length < 3 ? null : [...parts.slice(0, 3), parts[3] ?? 1];
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const over = ([r, g, b, a], ground) => [r, g, b].map((c, i) => c * a + ground[i] * (1 - a));
  const ground = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) {
      const colour = rgb(getComputedStyle(each).backgroundColor);
      if (colour && colour[3] > 0) layers.push(colour);
      if (colour && colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const name = (node) => (node.getAttribute("aria-label") ?? node.textContent ?? "").trim() || node.querySelector("img[alt]")?.alt || "";

  // Text of less contrast than WCAG AA: 4.5, or 3 for large text.
  const contrast = () => {
    const bad = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const node = text.parentElement;
      if (!text.textContent.trim() || node.closest("script, style, .skip, defs") || !visible(node)) continue;
      const style = getComputedStyle(node), svg = node instanceof SVGElement;
      const colour = rgb(svg ? style.fill : style.color);
      if (!colour) continue;
      const behind = ground(svg ? node.closest("svg").parentElement : node);
      const [a, b] = [light(over(colour, behind)), light(behind)];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} “${text.textContent.trim().slice(0, 40)}” ${node.tagName}.${node.className?.baseVal ?? node.className}`);
    }
    return bad;
  };

  // Names, landmarks, headings and tables that a screen reader goes by.
  const structure = () => {
    const bad = [], all = (selector) => [...document.querySelectorAll(selector)];
    if (!document.documentElement.lang) bad.push("no language");
    if (!document.title.trim()) bad.push("no title");
    for (const mark of ["main", "header", "footer", "h1"]) if (all(mark).length !== 1) bad.push(`${all(mark).length} of ${mark}`);
    for (const nav of all("nav")) if (!nav.getAttribute("aria-label")) bad.push("a nav without a name");
    let level = 0;
    for (const heading of all("h1, h2, h3, h4, h5, h6")) {
      const now = Number(heading.tagName[1]);
      if (now > level + 1) bad.push(`heading ${now} after ${level}: ${heading.textContent}`);
      if (!heading.textContent.trim()) bad.push("an empty heading");
      level = now;
    }
    for (const image of all("img")) if (image.getAttribute("alt") === null) bad.push("an image without alt");
    for (const image of all("[role=img], [role=region]")) {
      if (!image.getAttribute("aria-label") && !image.closest("svg")) bad.push(`${image.className || image.tagName} without a name`);
    }
    for (const link of all("a[href], button, summary")) if (!name(link)) bad.push(`a link without a name: ${link.href ?? link.tagName}`);
    for (const field of all("input:not([type=hidden]), select, textarea")) if (!field.labels?.length && !field.getAttribute("aria-label")) bad.push(`a field without a label: ${field.name}`);
    for (const table of all("table")) if (!table.querySelector("th[scope]")) bad.push("a table without header cells");
    for (const box of all(".scroll")) if (box.scrollWidth > box.clientWidth && box.tabIndex < 0) bad.push("a box that scrolls but cannot be reached by keyboard");
    const ids = all("[id]").filter((node) => !node.closest("svg")).map((node) => node.id);
    for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) bad.push(`the id ${id} twice`);
    for (const node of all("[aria-labelledby]")) if (!document.getElementById(node.getAttribute("aria-labelledby"))) bad.push(`labelled by nothing: ${node.getAttribute("aria-labelledby")}`);
    return bad;
  };

  const links = () => [...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex='0']")].filter((n) => n.classList.contains("skip") || (visible(n) && n.checkVisibility())).length;
  const focused = () => {
    const node = document.activeElement, all = [...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex='0']")];
    const style = getComputedStyle(node);
    return { at: all.indexOf(node), ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2, name: name(node).slice(0, 40) };
  };
  const sideways = () => document.documentElement.scrollWidth - innerWidth;
  const marks = () => [...document.querySelectorAll("figure:not([hidden]) [data-chart], .spark:not([hidden])")]
    .map((place) => [place.dataset.key, place.querySelectorAll("svg .mark-rect path, svg .mark-line path, svg .mark-symbol path, svg .mark-rule line, svg .mark-area path").length]);
  window.checks = { contrast, structure, links, focused, sideways, marks };
})();
