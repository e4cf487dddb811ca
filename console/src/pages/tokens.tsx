/** Short-lived tokens: a customer's own, made of a key, and for operators those of any customer. */
import { useState } from "preact/hooks";
import { call, type CallOptions } from "../api";
import { moment } from "../format";
import { useLoaded } from "../live";
import { session } from "../session";
import { Age, Badge, Button, Card, Confirm, Empty, Field, FormDialog, Note, Options, Page, Plain, Secret, Skeleton, WorkloadLink } from "../ui/parts";

export const SCOPES = [
  ["workloads:read", "Look at workloads"],
  ["workloads:write", "Submit and steer workloads"],
  ["configs:write", "Change what holds for types"],
  ["admin", "Operate the service"],
] as const;

const SPANS = [["900", "In 15 minutes"], ["3600", "In an hour"], ["28800", "In 8 hours"], ["86400", "In a day"]] as const;

export interface Token {
  token_id: string;
  key_id: string;
  scopes: string[];
  workload_id: string | null;
  created_at: string;
  expires_at: string;
  last_used_at: string | null;
  last_used_from: string | null;
}

export function TokensPage() {
  const who = session.value!;
  const [key, setKey] = useState("");
  return (
    <Page title="Tokens" lead="A token is good for a day at most, and for no more than the key that it is made of.">
      <div class="stack">
        <Card title="You are signed in">
          <div class="stack">
            <p>
              As <b>{who.customer_id}</b>, to
            </p>
            <Scopes of={who.scopes} />
            {who.workload_id && (
              <p class="soft">
                For <WorkloadLink id={who.workload_id} short={false} /> alone.
              </p>
            )}
          </div>
        </Card>
        {key ? <OfKey apiKey={key} onForget={() => setKey("")} /> : <AskKey onKey={setKey} />}
      </div>
    </Page>
  );
}

/** A session is itself a token, and tokens make no tokens: whoever finds an open console must not be able to stay. */
function AskKey({ onKey }: { onKey: (key: string) => void }) {
  const [text, setText] = useState("");
  return (
    <Card title="Tokens of a key">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          onKey(text.trim());
        }}
      >
        <Field label="API key" hint="Tokens are made, seen and ended with the key itself. It is kept until you leave this page.">
          {(attributes) => <input {...attributes} type="password" required autoComplete="off" spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
        </Field>
        <div class="actions">
          <Button type="submit" look="main">
            Show its tokens
          </Button>
        </div>
      </form>
    </Card>
  );
}

function OfKey({ apiKey, onForget }: { apiKey: string; onForget: () => void }) {
  const ask = <T,>(method: string, path: string, options: CallOptions = {}) => call<T>(method, path, { ...options, headers: { Authorization: `Bearer ${apiKey}` } });
  const { data, error, reload } = useLoaded("tokens", (stop) => ask<{ tokens: Token[] }>("GET", "/tokens", { query: { limit: 100 }, signal: stop }));
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState("");
  return (
    <Card
      title="Tokens of a key"
      flush
      tools={
        <>
          <Button look="plain" onClick={onForget}>
            Forget the key
          </Button>
          <Button onClick={() => setMaking(true)}>Make a token</Button>
        </>
      }
    >
      {error ? (
        <div class="card-body">
          <Note kind="bad">{error.status === 401 ? "This key isn't good: it is unknown, has expired or was ended." : error.message}</Note>
        </div>
      ) : (
        <TokenList tokens={data?.tokens} onEnd={(token) => ask("DELETE", `/tokens/${token.token_id}`).then(reload)} />
      )}
      {making && <Make onMake={(body) => ask<{ token: string }>("POST", "/tokens", { body }).then(({ token }) => setMade(token))} onClose={() => setMaking(false)} />}
      {made && (
        <Secret
          what="token"
          text={made}
          onClose={() => {
            setMade("");
            reload();
          }}
        />
      )}
    </Card>
  );
}

/** Undefined while they are loaded. */
export function TokenList({ tokens, onEnd }: { tokens: Token[] | undefined; onEnd?: (token: Token) => Promise<unknown> }) {
  const [ending, setEnding] = useState<Token>();
  if (!tokens) return <Skeleton />;
  if (!tokens.length) return <Empty icon="keys" title="No token is good now" />;
  return (
    <>
      <Plain label="Tokens" heads={[["Token"], ["Good for"], ["Last used"], ["Made"], ["Ends"], ...(onEnd ? ([["", "end"]] as const) : [])]}>
        {tokens.map((token) => (
          <tr key={token.token_id}>
            <td>
              <span class="mono small">{token.token_id}</span>
              <div class="faint small mono">{token.key_id}</div>
            </td>
            <td>
              <Scopes of={token.scopes} />
              {token.workload_id && <WorkloadLink id={token.workload_id} />}
            </td>
            <td>
              <Age at={token.last_used_at} />
              <div class="faint small">{token.last_used_from}</div>
            </td>
            <td class="nowrap">
              <Age at={token.created_at} />
            </td>
            <td class="nowrap" title={moment(token.expires_at)}>
              <Age at={token.expires_at} />
            </td>
            {onEnd && (
              <td class="end">
                <Button look="danger" aria-label={`End ${token.token_id}`} onClick={() => setEnding(token)}>
                  End
                </Button>
              </td>
            )}
          </tr>
        ))}
      </Plain>
      {ending && <Confirm title="End this token?" text="Whoever uses it is refused from now on; a browser that is signed in with it is signed out." verb="End it" onConfirm={() => onEnd!(ending)} done="The token is ended" onClose={() => setEnding(undefined)} />}
    </>
  );
}

export function Scopes({ of }: { of: string[] }) {
  return (
    <span class="chips">
      {of.map((scope) => (
        <Badge key={scope}>{scope}</Badge>
      ))}
    </span>
  );
}

export function ScopeChoice({ may, chosen, onChange }: { may: readonly string[]; chosen: string[]; onChange: (scopes: string[]) => void }) {
  return (
    <fieldset class="field">
      <legend>It may</legend>
      {SCOPES.filter(([scope]) => may.includes(scope)).map(([scope, words]) => (
        <label class="check" key={scope}>
          <input type="checkbox" checked={chosen.includes(scope)} onChange={(event) => onChange(event.currentTarget.checked ? [...chosen, scope] : chosen.filter((one) => one !== scope))} />
          {words} <span class="faint small mono">{scope}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Make({ onMake, onClose }: { onMake: (body: unknown) => Promise<unknown>; onClose: () => void }) {
  const may = session.value!.scopes;
  const [chosen, setChosen] = useState<string[]>(may.filter((scope) => scope === "workloads:read"));
  const [workload, setWorkload] = useState("");
  const [seconds, setSeconds] = useState("3600");
  const make = () => {
    if (!chosen.length) throw new Error("Choose what it may do.");
    return onMake({ scopes: chosen, expires_in_seconds: Number(seconds), ...(workload.trim() ? { workload_id: workload.trim() } : {}) });
  };
  return (
    <FormDialog title="Make a token" verb="Make it" work={make} onClose={onClose}>
      <ScopeChoice may={may} chosen={chosen} onChange={setChosen} />
      <Field label="Ends">
        {(attributes) => (
          <select {...attributes} value={seconds} onChange={(event) => setSeconds(event.currentTarget.value)}>
            <Options value={seconds} options={SPANS} />
          </select>
        )}
      </Field>
      <Field label="For one workload alone (optional)" hint="Its id.">
        {(attributes) => <input {...attributes} spellcheck={false} value={workload} onInput={(event) => setWorkload(event.currentTarget.value)} />}
      </Field>
    </FormDialog>
  );
}
