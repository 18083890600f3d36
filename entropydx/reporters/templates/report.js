// Only copies; everything on the page can be read without it.
document.querySelectorAll("button[data-copy]").forEach(function (button) {
  var code = document.getElementById(button.getAttribute("data-copy"));
  function say(word) {
    button.textContent = word;
    setTimeout(function () { button.textContent = "Copy"; }, 1600);
  }
  function select() {
    var range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    say(document.execCommand("copy") ? "Copied" : "Selected");
  }
  button.hidden = false;
  button.addEventListener("click", function () {
    if (!navigator.clipboard) { select(); return; }
    navigator.clipboard.writeText(code.textContent).then(function () { say("Copied"); }, select);
  });
});
