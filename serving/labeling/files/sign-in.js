// This script goes on where the rater was led from elsewhere: a link in a mail brings no cookie of
// the session, as it comes from another site; this page's own request does.
"use strict";

try {
  const answer = await fetch(`${document.documentElement.dataset.root}/api/session`, { cache: "no-store" });
  if (answer.ok && !document.querySelector('[role="alert"]')) {
    location.replace(document.body.dataset.wanted);
  }
} catch {
  // the form is there all the same
}
