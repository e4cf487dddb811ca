import { useState } from "preact/hooks";
import { ApiError } from "../api";
import { notice, signIn } from "../session";
import { Button, Field, Note } from "../ui/parts";

export function SignInPage() {
  const [credential, setCredential] = useState("");
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const enter = async (event: Event) => {
    event.preventDefault();
    setProblem(undefined);
    if (!credential.trim()) {
      setProblem("Paste an API key or a token.");
      return;
    }
    setBusy(true);
    try {
      await signIn(credential.trim());
    } catch (error) {
      const refused = error instanceof ApiError && error.status === 401;
      setProblem(refused ? "This key or token isn't good: it is unknown, has expired or was ended." : (error as Error).message);
      setBusy(false);
    }
  };
  return (
    <div class="sign-in">
      <main>
        <div class="card">
          <div class="brand">
            <img src="/console/icon.svg" alt="" />
            Niyanta
          </div>
          <h1>Sign in</h1>
          <form onSubmit={(event) => void enter(event)}>
            {notice.value && <Note>{notice.value}</Note>}
            <Field label="API key or token" problem={problem} hint="It is exchanged for a session of twelve hours at most, and not kept.">
              {(attributes) => (
                <input {...attributes} type="password" autoComplete="off" spellcheck={false} autofocus value={credential} onInput={(event) => setCredential(event.currentTarget.value)} />
              )}
            </Field>
            <Button type="submit" look="main" disabled={busy}>
              {busy ? "Signing in …" : "Sign in"}
            </Button>
          </form>
        </div>
      </main>
    </div>
  );
}
