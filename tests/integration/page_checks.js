// What a page must keep to be usable by everybody; gives the faults that it finds.
(() => {
  const faults = [];
  const every = (selector) => [...document.querySelectorAll(selector)];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const need = (right, fault) => right || faults.push(fault);

  need(document.documentElement.lang, "the page names no language");
  need(document.title, "the page has no title");
  for (const landmark of ["body > header", "main", "body > footer"]) {
    need(every(landmark).length === 1, `not one ${landmark}`);
  }
  need(document.querySelector('a.skip[href="#main"]'), "nothing leads past the header");

  const headings = every("h1, h2, h3, h4").filter(shown).map((heading) => Number(heading.tagName[1]));
  need(headings[0] === 1 && headings.filter((level) => level === 1).length === 1, "not one first heading");
  headings.forEach((level, at) => need(at === 0 || level <= headings[at - 1] + 1, `heading ${at} skips a level`));

  const ids = every("[id]").map((element) => element.id);
  need(new Set(ids).size === ids.length, "an id is there twice");
  for (const element of every("[aria-labelledby], [aria-describedby]")) {
    for (const name of ["aria-labelledby", "aria-describedby"]) {
      for (const id of (element.getAttribute(name) ?? "").split(" ").filter(Boolean)) {
        need(document.getElementById(id), `${name} leads nowhere: ${id}`);
      }
    }
  }

  for (const field of every("input, select, textarea").filter(shown)) {
    need(field.labels.length || field.getAttribute("aria-label"), `no label: ${field.outerHTML}`);
  }
  for (const button of every("button, a[href]").filter(shown)) need(button.textContent.trim(), "a nameless button");
  for (const drawn of every("svg, progress, img")) need(drawn.getAttribute("aria-label") ?? drawn.getAttribute("alt"), `no name: ${drawn.tagName}`);
  for (const section of every("section")) need(section.getAttribute("aria-labelledby"), "a nameless section");
  for (const table of every("table").filter(shown)) {
    need(table.getAttribute("aria-labelledby") || table.caption, "a nameless table");
    for (const head of table.querySelectorAll("th")) need(head.scope && head.textContent.trim(), "a head without scope or text");
    for (const row of table.tBodies[0].rows) need(row.querySelectorAll("th[scope=row]").length === 1, "a row without a head");
  }
  for (const live of every("[aria-live]")) need(live.getAttribute("aria-live") === "polite", "it is impolite");

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  function channels(color) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }
  function light(color) {
    const [red, green, blue] = channels(color).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  function ground(element) {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] === 255) return color;
    }
    return "white";
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !shown(element) || element.closest("button:disabled, noscript, .unseen")) continue;
    const pair = [getComputedStyle(element).color, ground(element)];
    if (judged.has(String(pair))) continue;
    judged.add(String(pair));
    const [dark, bright] = pair.map(light).sort((one, other) => one - other);
    const contrast = (bright + 0.05) / (dark + 0.05);
    need(contrast >= 4.5, `contrast ${contrast.toFixed(2)} of "${texts.currentNode.data.trim().slice(0, 30)}"`);
  }
  need(judged.size >= 4, "too few texts were judged");

  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  need(wide <= 0, `the page is ${wide} px too wide`);
  for (const element of every("body *").filter(shown)) {
    if (element.closest(".unseen, .skip, thead, svg")) continue;
    const right = element.getBoundingClientRect().right;
    need(right <= innerWidth + 0.5, `it ends at ${right}: ${element.tagName} ${element.id}`);
  }
  return faults;
})()
