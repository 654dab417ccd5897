"use strict";
// Filters, search, order and sliders. All that is shown stands in the page already; nothing is
// fetched, and no text becomes HTML here.
(() => {
  const main = document.getElementById("brackets");
  const tools = document.querySelector(".tools");
  const count = tools.querySelector(".count");
  const nothing = main.querySelector(".nothing");
  const cards = [...main.querySelectorAll(".bracket")].map((node) => ({
    node,
    text: node.textContent.toLowerCase(),
    failed: node.dataset.outcome === "failed",
    warned: Number(node.dataset.warnings) > 0,
  }));
  const kinds = {
    all: () => true,
    fused: (card) => !card.failed,
    failed: (card) => card.failed,
    warned: (card) => card.warned,
  };
  const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  let order = "number";

  const chosen = () => ({
    show: tools.elements.show.value,
    find: tools.elements.find.value,
    sort: tools.elements.sort.value,
  });

  function arrange(sort) {
    if (sort === order) return;
    order = sort;
    const down = sort.startsWith("-");
    const key = down ? sort.slice(1) : sort;
    const place = (card) => Number(card.node.dataset.number);
    const value = (card) => Number(card.node.dataset[key]);
    cards.sort((a, b) => {
      if (key === "name") return names.compare(a.node.dataset.name, b.node.dataset.name);
      return (down ? value(b) - value(a) : value(a) - value(b)) || place(a) - place(b);
    });
    main.prepend(...cards.map((card) => card.node));
  }

  function apply() {
    const { show, find, sort } = chosen();
    const words = find.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const wanted = kinds[show](card) && words.every((word) => card.text.includes(word));
      card.node.hidden = !wanted;
      shown += wanted;
    }
    arrange(sort);
    nothing.hidden = shown > 0 || cards.length === 0;
    count.textContent = shown === cards.length
      ? `${shown} shown` : `${shown} of ${cards.length} shown`;
  }

  // The choice stands behind the # of the address, so that it can be kept and sent.
  function remember() {
    const said = new URLSearchParams();
    const { show, find, sort } = chosen();
    if (show !== "all") said.set("show", show);
    if (find) said.set("find", find);
    if (sort !== "number") said.set("sort", sort);
    const text = said.toString();
    try {
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    } catch { /* some browsers allow it on no page of a file: the choice is then not kept */ }
  }

  function recall() {
    const said = new URLSearchParams(location.hash.slice(1));
    tools.elements.show.value = said.get("show") in kinds ? said.get("show") : "all";
    tools.elements.find.value = said.get("find") ?? "";
    const sort = [...tools.elements.sort.options].find((one) => one.value === said.get("sort"));
    tools.elements.sort.value = sort ? sort.value : "number";
    apply();
  }

  function made(name, kind, text = "") {
    const node = document.createElement(name);
    node.className = kind;
    node.textContent = text;
    return node;
  }

  // A slider over the fused picture: left of it a frame is shown.
  function addSlider(card) {
    const box = card.querySelector(".compare");
    const frames = [...card.querySelectorAll("button.frame")];
    if (!box || frames.length === 0) return;
    const before = new Image();
    before.className = "before";
    before.alt = "";
    const range = document.createElement("input");
    Object.assign(range, { type: "range", min: 0, max: 100, step: 0.5 });
    const left = made("span", "side left");
    const right = made("span", "side right", "fused");
    box.append(before, range, made("span", "edge"), left, right);
    let name = "";

    function move(at) {
      range.value = at;
      box.style.setProperty("--at", `${range.value}%`);
      left.hidden = range.value < 12;
      right.hidden = range.value > 88;
      range.setAttribute("aria-valuetext",
        `${Math.round(range.value)} % of the picture, from the left, is ${name}`);
    }

    function choose(frame) {
      for (const one of frames) one.setAttribute("aria-pressed", String(one === frame));
      before.src = frame.querySelector("img").src;
      name = "reference" in frame.dataset ? "the reference" : frame.dataset.frame;
      left.textContent = frame.dataset.frame;
      range.setAttribute("aria-label", `Compare ${card.dataset.name} with ${name}`);
      move(range.value);
    }

    range.addEventListener("input", () => move(range.value));
    for (const frame of frames) {
      frame.addEventListener("click", () => {
        choose(frame);
        if (range.value < 12) move(50);
      });
    }
    range.value = 0;
    choose(frames.find((frame) => "reference" in frame.dataset) ?? frames[0]);
    move(4);
  }

  for (const { node } of cards) addSlider(node);
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", () => { apply(); remember(); });
  nothing.querySelector("button").addEventListener("click", () => {
    tools.reset();
    apply();
    remember();
    tools.elements.find.focus();
  });
  window.addEventListener("hashchange", () => { if (!/^#b\d+$/.test(location.hash)) recall(); });
  tools.hidden = false;
  recall();
})();
