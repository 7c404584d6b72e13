"""The page that asks for the token. It stands for itself: nothing of the dashboard is shown before."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>manyheads</title>
<style>
  :root { --page: #f6f6f3; --card: #fff; --ink: #17191c; --quiet: #62676e; --line: #e2e2dd; --accent: #2f5fd0; --bad: #b3260d; }
  @media (prefers-color-scheme: dark) {
    :root { --page: #111315; --card: #191c1f; --ink: #eceef0; --quiet: #969ca4; --line: #2b2f34; --accent: #86a8ff; --bad: #ff9377; }
  }
  * { box-sizing: border-box; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px; background: var(--page);
         color: var(--ink); font: 15px/1.5 Inter, system-ui, -apple-system, "Segoe UI", sans-serif; }
  form { width: min(100%, 360px); padding: 32px; background: var(--card); border: 1px solid var(--line); border-radius: 14px; }
  h1 { margin: 0 0 4px; font-size: 18px; font-weight: 600; }
  p { margin: 0 0 20px; color: var(--quiet); }
  p.wrong { color: var(--bad); }
  input, button { width: 100%; padding: 10px 12px; font: inherit; border-radius: 8px; border: 1px solid var(--line); }
  input { color: inherit; background: transparent; }
  button { margin-top: 12px; color: var(--card); background: var(--accent); border-color: transparent; font-weight: 600; cursor: pointer; }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
</style>
</head>
<body>
<form method="post" action="/login">
  <h1>manyheads</h1>
  @MESSAGE@
  <input type="password" name="token" aria-label="Token" placeholder="Token" autocomplete="current-password" required autofocus>
  <button type="submit">Open the dashboard</button>
</form>
</body>
</html>
"""  # noqa: E501 - style sheets read better with long lines
_ASK = "<p>The dashboard printed its token when it started, unless MANYHEADS_DASHBOARD_TOKEN holds it.</p>"
_WRONG = '<p class="wrong" role="alert">That is not the token. MANYHEADS_DASHBOARD_TOKEN holds it, or what the dashboard printed.</p>'  # noqa: E501


def login_page(*, wrong: bool) -> str:
    """The HTML; ``wrong`` after a token that was none."""
    return _PAGE.replace("@MESSAGE@", _WRONG if wrong else _ASK)
