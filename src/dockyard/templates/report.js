(function () {
  "use strict";
  var root = document.documentElement;
  var button = document.getElementById("theme");
  var themes = ["auto", "light", "dark"];

  function recall() {
    try { return localStorage.getItem("dockyard-theme"); } catch (error) { return null; }
  }

  function choose(theme) {
    if (themes.indexOf(theme) < 0) { theme = "auto"; }
    root.dataset.theme = theme;
    button.textContent = "Theme: " + theme;
    try { localStorage.setItem("dockyard-theme", theme); } catch (error) { /* not kept, then */ }
  }

  choose(recall());
  button.hidden = false;
  button.addEventListener("click", function () {
    choose(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]);
  });

  // plotly scales a tile's text down until it fits; what nobody can read only disturbs.
  function hideSmallTexts(place) {
    place.querySelectorAll(".slicetext").forEach(function (text) {
      var scale = /scale\(([\d.]+)/.exec(text.getAttribute("transform") || "");
      text.style.visibility = scale && Number(scale[1]) < 0.72 ? "hidden" : "";
    });
  }

  var figures = JSON.parse(document.getElementById("figures").textContent);
  var options = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
  Object.keys(figures).forEach(function (name) {
    var place = document.getElementById(name);
    place.textContent = "";
    Plotly.newPlot(place, figures[name].data, figures[name].layout, options);
    if (name === "layers") {
      hideSmallTexts(place);
      place.on("plotly_afterplot", function () { hideSmallTexts(place); });
    }
  });
}());
