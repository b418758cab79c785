"use strict";
// Draws the plots in the colours of page.css, and again when light turns to dark; zooms them by the
// keyboard; moves a line over the spectrograms of the sound that plays, one sound at a time.
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const style = () => getComputedStyle(document.documentElement);
  const colour = (name) => style().getPropertyValue(`--${name.slice(1)}`).trim();

  function coloured(value, key = "") {
    if (Array.isArray(value)) return value.map((one) => (typeof one === "object" ? coloured(one) : one));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, k)]));
    return /color$/.test(key) && typeof value === "string" && value[0] === "@" ? colour(value) : value;
  }

  function axis(own, touch) {
    return {
      automargin: true, gridcolor: colour("@grid"), linecolor: colour("@grid"), zeroline: false,
      tickfont: { color: colour("@muted"), size: 11 }, fixedrange: touch, nticks: 7, ...own,
      title: { font: { size: 12, color: colour("@muted") }, standoff: 8, ...own.title },
    };
  }

  function layout(own) {
    const touch = matchMedia("(pointer: coarse)").matches; // a finger scrolls the page
    return {
      autosize: true, margin: { l: 8, r: 8, t: 8, b: 8 }, hovermode: "closest", barmode: "overlay",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: style().getPropertyValue("--sans"), size: 12, color: colour("@ink") },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
      hoverlabel: { bgcolor: colour("@raised"), bordercolor: colour("@rule"), font: { color: colour("@ink"), size: 12 }, align: "left" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("@muted"), activecolor: colour("@ink"), orientation: "v" },
      ...own, xaxis: axis(own.xaxis, touch), yaxis: axis(own.yaxis, touch),
    };
  }

  const config = {
    displaylogo: false, responsive: true, doubleClick: "reset",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  function draw() {
    for (const [id, { data, layout: own }] of Object.entries(plots))
      Plotly.react(id, coloured(data), layout(coloured(own)), config);
  }

  function range(plot, name, move, zoom) {
    const [low, high] = plot._fullLayout[name].range.map(Number);
    const middle = (low + high) / 2 + move * (high - low), half = ((high - low) / 2) * zoom;
    return [middle - half, middle + half];
  }

  const keys = { // x, y and zoom
    ArrowLeft: [-0.1, 0, 1], ArrowRight: [0.1, 0, 1], ArrowDown: [0, -0.1, 1], ArrowUp: [0, 0.1, 1],
    "+": [0, 0, 0.8], "=": [0, 0, 0.8], "-": [0, 0, 1.25],
  };

  function byKeyboard(event) {
    const plot = event.currentTarget;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0") {
      event.preventDefault();
      const { layout: own } = plots[plot.id];
      const whole = (one) => (one.range ? { range: [...one.range] } : { autorange: one.autorange || true });
      Plotly.update(plot, {}, { xaxis: axis({ ...coloured(own.xaxis), ...whole(own.xaxis) }), yaxis: axis({ ...coloured(own.yaxis), ...whole(own.yaxis) }) });
    } else if (keys[event.key]) {
      event.preventDefault();
      const [x, y, zoom] = keys[event.key];
      const isNumber = (name) => ["linear", "log"].includes(plot._fullLayout[name].type);
      const changes = {};
      if (isNumber("xaxis")) changes["xaxis.range"] = range(plot, "xaxis", x, zoom);
      if (isNumber("yaxis")) changes["yaxis.range"] = range(plot, "yaxis", y, zoom);
      Plotly.relayout(plot, changes);
    }
  }

  function follow(audio) {
    const figure = audio.closest("figure");
    const move = () => {
      for (const line of figure.querySelectorAll(".cursor"))
        line.style.left = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
      if (!audio.paused) requestAnimationFrame(move);
    };
    audio.addEventListener("play", () => {
      for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
      figure.classList.add("playing");
      move();
    });
    audio.addEventListener("seeked", move);
    audio.addEventListener("ended", () => figure.classList.remove("playing"));
    for (const frame of figure.querySelectorAll(".frame"))
      frame.addEventListener("click", (event) => {
        const box = frame.getBoundingClientRect();
        audio.currentTime = ((event.clientX - box.left) / box.width) * audio.duration;
        audio.play();
      });
  }

  function stops() { // of the tab key: tables that scroll
    for (const region of document.querySelectorAll(".scroll"))
      region.tabIndex = region.scrollWidth > region.clientWidth ? 0 : -1;
  }

  draw();
  stops();
  addEventListener("resize", stops);
  document.querySelectorAll("details").forEach((one) => one.addEventListener("toggle", stops));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.querySelectorAll(".plot").forEach((plot) => plot.addEventListener("keydown", byKeyboard));
  document.querySelectorAll("audio").forEach(follow);
  document.documentElement.dataset.ready = "true";
})();
