async function show() {
  const status = await (await fetch("status.json")).json();
  document.getElementById("title").textContent = document.title = status.title;
  document.getElementById("state").textContent = status.page;
  document.getElementById("at").textContent = status.at;
}
fetch("footer.html").then(async (answer) => { document.getElementById("footer").innerHTML = await answer.text(); });
show();
setInterval(show, 5000);
