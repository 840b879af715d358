// Says that the token was wrong, if it was.
document.getElementById("wrong").hidden = location.search !== "?wrong";
