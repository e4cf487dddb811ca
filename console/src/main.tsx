import { render } from "preact";
import { App } from "./app";
import { findSession } from "./session";
import "./theme";

void findSession();
render(<App />, document.getElementById("console")!);
