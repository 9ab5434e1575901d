// The page's own part: it gathers the form into one message, and puts what the server sends into its place.
// Everything that is computed is computed by the server; nothing is fetched from anywhere else.
(() => {
  "use strict";
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const send = (name, value) => Shiny.setInputValue(name, value, { priority: "event" });
  let ticks = 0; // of the runs that are shown
  let playing = null;
  let fresh = true; // before the first results the address says which tick is looked at
  let readyToSend = false;

  // ------------------------------------------------------------------ form

  const changed = (control) => control.value.trim() !== control.dataset.base;

  function gather() {
    const values = {};
    for (const control of all("[data-path]")) if (changed(control)) values[control.dataset.path] = control.value;
    const numbers = {};
    for (const control of all("[data-number]")) numbers[control.dataset.number] = control.value;
    const events = { policy: {}, shock: {} };
    for (const box of all("[data-kind]")) {
      if (!one("[data-switch]", box).checked) continue;
      const fields = {};
      for (const field of all("[data-field]", box)) fields[field.dataset.field] = field.value;
      events[box.dataset.kind][box.dataset.name] = fields;
    }
    const shared = one("#shocks_in_baseline").checked;
    return { preset: one("#preset").value, values, numbers, ...events, shocks_in_baseline: shared, live: one("#live").checked };
  }

  function submit() {
    marks();
    if (readyToSend) send("form", gather());
  }

  function marks() {
    for (const control of all("[data-path]")) {
      const box = control.closest(".control");
      box.classList.toggle("changed", changed(control));
      one(".reset", box).hidden = !changed(control);
    }
    for (const box of all("[data-kind]")) {
      const on = one("[data-switch]", box).checked;
      one(".fields", box).hidden = !on;
      box.classList.toggle("changed", on);
    }
    for (const group of all("details.group")) {
      const count = all(".parameter.changed", group).length;
      let badge = one(".badge-count", group);
      if (!badge) {
        badge = document.createElement("span");
        badge.className = "badge-count";
        one("summary", group).append(badge);
      }
      badge.textContent = count ? ` ${count} changed` : "";
    }
    find();
  }

  function find() {
    const words = one("#find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = one("#only-changed").checked;
    for (const box of all(".parameter")) {
      const fits = words.every((word) => box.dataset.words.includes(word)) && (!only || box.classList.contains("changed"));
      box.hidden = !fits;
    }
    for (const group of all("details.group")) {
      const shown = all(".parameter", group).some((box) => !box.hidden);
      const searching = words.length > 0 || only;
      group.hidden = !shown && searching;
      // A search opens what it finds; what was open before is open again after it.
      if (searching && group.dataset.was === undefined) group.dataset.was = group.open;
      if (searching) group.open = shown;
      else if (group.dataset.was !== undefined) {
        group.open = group.dataset.was === "true";
        delete group.dataset.was;
      }
    }
  }

  function setValue(control, text) {
    control.value = text;
    const slider = one(`[data-slider="${control.id}"]`);
    if (slider) slider.value = text;
  }

  function fill(state) {
    for (const control of all("[data-path]")) {
      const path = control.dataset.path;
      const was = changed(control);
      control.dataset.base = state.bases[path];
      if (state.values === null ? !was : true) {
        setValue(control, state.values !== null && path in state.values ? state.values[path] : state.bases[path]);
      }
    }
    if (state.values !== null) {
      one("#preset").value = state.preset;
      for (const control of all("[data-number]")) control.value = state.numbers[control.dataset.number];
      for (const box of all("[data-kind]")) {
        const given = state[box.dataset.kind][box.dataset.name];
        one("[data-switch]", box).checked = Boolean(given);
        for (const field of all("[data-field]", box)) {
          if (given && field.dataset.field in given) field.value = given[field.dataset.field];
          else if (given && field.dataset.field !== "target") field.value = field.dataset.field === "start" ? "0" : "";
          else if (given) field.value = "random";
        }
      }
      one("#shocks_in_baseline").checked = state.shocks_in_baseline;
    }
    marks();
  }

  // ------------------------------------------------------------------ looking

  const look = { tab: "layers", view: "both", tick: 0, pair: 0, indicator: "records_hhi" };

  function cursor() {
    const share = ticks > 1 ? look.tick / (ticks - 1) : 0;
    document.documentElement.style.setProperty("--t", share);
    one("#tick").value = look.tick;
    const words = ticks ? `tick ${look.tick} of 0–${ticks - 1}` : "";
    one("#tick").setAttribute("aria-valuetext", words);
    one("#tick-now").textContent = words;
  }

  function lookAt(what) {
    Object.assign(look, what);
    cursor();
    if (readyToSend) send("look", { ...look });
    address();
  }

  let query = null; // an address from which nothing was run stays as it is
  function address() {
    if (query === null) return;
    const extra = new URLSearchParams();
    if (look.tab !== "layers") extra.set("tab", look.tab);
    if (look.view !== "both") extra.set("view", look.view);
    if (look.tick !== ticks - 1) extra.set("tick", look.tick);
    if (look.pair) extra.set("pair", look.pair);
    if (look.indicator !== "records_hhi") extra.set("indicator", look.indicator);
    const text = [query, extra.toString()].filter(Boolean).join("&");
    history.replaceState(null, "", text ? `?${text}` : location.pathname);
  }

  function stop() {
    clearInterval(playing);
    playing = null;
    one("#play").textContent = "Play";
    one("#play").setAttribute("aria-label", "play through time");
  }

  function play() {
    if (playing) return stop();
    if (!ticks) return;
    if (look.tick >= ticks - 1) lookAt({ tick: 0 });
    one("#play").textContent = "Stop";
    one("#play").setAttribute("aria-label", "stop");
    const step = Math.max(1, Math.round(ticks / 60));
    playing = setInterval(() => {
      lookAt({ tick: Math.min(ticks - 1, look.tick + step) });
      if (look.tick >= ticks - 1) stop();
    }, 250);
  }

  // ------------------------------------------------------------------ what the server sends

  const handlers = {
    fill(state) {
      fill(state);
      if (state.values !== null && state.run) submit();
    },
    faults({ faults }) {
      for (const place of all("[data-fault]")) {
        place.hidden = true;
        place.textContent = "";
      }
      for (const control of all("[aria-invalid]")) control.removeAttribute("aria-invalid");
      const loose = [];
      for (const { control, line } of faults) {
        const place = control && one(`[data-fault="${CSS.escape(control)}"]`);
        if (!place) {
          loose.push(line);
          continue;
        }
        place.textContent = place.textContent ? `${place.textContent} · ${line}` : line;
        place.hidden = false;
        const box = place.closest(".control");
        const input = box && (one("[data-path], [data-number], [data-switch]", box) || one("select, input", box));
        if (input) input.setAttribute("aria-invalid", "true");
        const group = place.closest("details");
        if (group) group.open = true;
        if (box && box.hidden) box.hidden = false;
      }
      const general = one("#general-fault");
      const here = faults.length - loose.length;
      general.textContent = [...loose, here ? `${here === 1 ? "One entry" : `${here} entries`} on the left cannot be used.` : ""]
        .filter(Boolean).join(" · ");
      general.hidden = !faults.length;
      one("#to-fault").hidden = !here;
    },
    html({ id, html }) {
      const place = document.getElementById(id);
      if (!place) return;
      const focused = document.activeElement && place.contains(document.activeElement) ? document.activeElement.id : "";
      place.innerHTML = html;
      if (focused) document.getElementById(focused)?.focus();
    },
    status({ words, progress, running, stale }) {
      if (one("#words").textContent !== words) one("#words").textContent = words;
      const bar = one("#bar");
      bar.value = progress;
      bar.hidden = !running;
      one("#cancel").hidden = !running;
      one("#results").setAttribute("aria-busy", stale ? "true" : "false");
      document.body.dataset.running = running;
    },
    time({ ticks: n, pairs, what_if }) {
      const atEnd = !fresh && look.tick >= ticks - 1;
      fresh = false;
      ticks = n;
      one("#tick").max = n - 1;
      look.tick = atEnd ? n - 1 : Math.min(look.tick, n - 1);
      one("#views").hidden = !what_if;
      const select = one("#pair");
      const labels = pairs.map((i) => `${what_if ? "pair" : "run"} ${i + 1}`);
      if (select.options.length !== pairs.length || select.dataset.arms !== String(what_if)) {
        select.replaceChildren(...pairs.map((i, k) => new Option(labels[k], i)));
        select.dataset.arms = what_if;
      }
      if (!pairs.includes(look.pair)) look.pair = pairs[0];
      select.value = look.pair;
      one("#pairs").hidden = pairs.length < 2;
      lookAt({});
    },
    address({ query: text }) {
      query = text;
      address();
    },
    look(what) {
      Object.assign(look, what);
      one("#indicator").value = look.indicator;
      const view = one(`input[name="view"][value="${CSS.escape(look.view)}"]`);
      if (view) view.checked = true;
      showTab(look.tab);
      cursor();
    },
  };

  // ------------------------------------------------------------------ tabs, after the pattern for tabs of the ARIA guide

  function showTab(name) {
    for (const tab of all("[role=tab]")) {
      const on = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !on;
    }
    document.body.dataset.tab = name;
  }

  function onTabKey(event) {
    const tabs = all("[role=tab]");
    const now = tabs.indexOf(event.target);
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined || now < 0) return;
    event.preventDefault();
    const tab = tabs[(next + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  }

  // ------------------------------------------------------------------ start

  function listen() {
    // The form is sent as a whole: the library is not to send each of its entries, nor to upload the file.
    for (const entry of all("input, select")) entry.setAttribute("data-shiny-no-bind-input", "");
    const form = one("#form");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      const t = event.target;
      if (t.dataset.slider) document.getElementById(t.dataset.slider).value = t.value;
      if (t.dataset.path) {
        const slider = one(`[data-slider="${t.id}"]`);
        if (slider) slider.value = t.value;
      }
      if (t.id === "find" || t.id === "only-changed") find();
    });
    form.addEventListener("change", (event) => {
      const t = event.target;
      if (t.id === "find" || t.id === "only-changed") return;
      if (t.id === "example") {
        if (t.value) send("example", t.value);
        return;
      }
      submit();
    });
    document.addEventListener("click", (event) => {
      const t = event.target.closest("button");
      if (!t) return;
      if (t.dataset.reset) {
        const control = document.getElementById(t.dataset.reset);
        setValue(control, control.dataset.base);
        control.focus();
        submit();
      } else if (t.dataset.tab) {
        showTab(t.dataset.tab);
        lookAt({ tab: t.dataset.tab });
      } else if (t.dataset.copy) {
        copy(t);
      } else if (t.dataset.ask) {
        send("ask", t.dataset.ask);
      }
    });
    one("#run").addEventListener("click", () => send("form", { ...gather(), live: true }));
    one("#to-fault").addEventListener("click", () => {
      one("#sidebar").open = true;
      one("[aria-invalid]")?.focus();
    });
    one("#cancel").addEventListener("click", () => send("cancel", Date.now()));
    one("#play").addEventListener("click", play);
    one("#defaults").addEventListener("click", () => send("example", ""));
    one("#tick").addEventListener("input", (event) => {
      if (playing) stop();
      lookAt({ tick: Number(event.target.value) });
    });
    one("#pair").addEventListener("change", (event) => lookAt({ pair: Number(event.target.value) }));
    one("#indicator").addEventListener("change", (event) => lookAt({ indicator: event.target.value }));
    for (const view of all("input[name=view]")) view.addEventListener("change", () => lookAt({ view: view.value }));
    one("[role=tablist]").addEventListener("keydown", onTabKey);
    document.getElementById("panel-study").addEventListener("change", () => {
      const chosen = {};
      for (const select of all("#panel-study select")) chosen[select.name] = select.value;
      send("study", chosen);
    });
    one("#file").addEventListener("change", async (event) => {
      const file = event.target.files[0];
      if (!file) return;
      const most = Number(event.target.dataset.most);
      if (file.size > most) {
        handlers.faults({ faults: [{ control: "file", line: `${file.name}: is larger than ${most / 1024} kB, the most a configuration may have` }] });
      } else {
        send("file", { name: file.name, text: await file.text() });
      }
      event.target.value = "";
    });
    if (window.matchMedia("(max-width: 60rem)").matches) one("#sidebar").open = false;
  }

  async function copy(button) {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(button.dataset.copy));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected: copy with Ctrl+C";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  }

  listen();
  for (const [name, handler] of Object.entries(handlers)) Shiny.addCustomMessageHandler(name, handler);
  window.jQuery(document).on("shiny:sessioninitialized", () => {
    readyToSend = true;
    send("arrive", { query: location.search.slice(1) });
  });
  window.jQuery(document).on("shiny:disconnected", () => {
    readyToSend = false;
    one("#words").textContent = "The server has stopped, or this page was left for long; reload to go on where you were.";
  });
})();
