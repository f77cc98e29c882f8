import { bindActs } from "./acts";
import { bindAsk } from "./ask";
import { bindEnrol } from "./enrol";
import { bindLogin } from "./login";
import { bindIfs } from "./ifs";
import { bindHints, localise, startClock, tick } from "./clock";
import { bindParts } from "./parts";
import { startLive } from "./live";
import { find } from "./dom";

function dress(root: ParentNode): void {
  bindParts(root);
  bindActs(root);
  localise(root);
  tick(root);
}

dress(document);
bindLogin();
bindEnrol();
bindIfs();
bindAsk();
bindHints();
startClock();
startLive(dress);
find("#wrong")?.focus();
