import { render } from "preact";
import { App } from "./app";
import "./style.css";
import { setTheme, storedTheme } from "./theme";
import { showUnseen } from "./unseen";

showUnseen();
setTheme(storedTheme());
const place = document.getElementById("app");
if (place !== null) render(<App />, place);
