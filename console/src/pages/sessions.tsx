/** Who is in: every credential that is good now. */
import { useState } from "preact/hooks";
import { call, get } from "../api";
import { moment } from "../format";
import { useLoaded } from "../live";
import { address, place, setQuery } from "../router";
import { Age, Badge, Button, Confirm, Empty, Link, Page, Plain, Problem, Search, Select, Skeleton } from "../ui/parts";

interface Session {
  session_id: string;
  customer_id: string;
  kind: string;
  name: string;
  role: string;
  key_id: string | null;
  workload_id: string | null;
  began_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  last_used_from: string | null;
}

const KINDS = [["", "Every kind"], ["api_key", "API keys"], ["api_token", "Tokens"], ["json_web_token", "JSON Web Tokens"]] as const;
const WORDS: Record<string, string> = { api_key: "API key", api_token: "token", json_web_token: "JSON Web Token" };

export function SessionsPage() {
  const query = place.value.query;
  const [customer_id, kind] = [query.get("customer") ?? "", query.get("kind") ?? ""];
  const { data, error, reload } = useLoaded(`sessions ${customer_id} ${kind}`, (stop) => get<{ sessions: Session[] }>("/admin/sessions", { customer_id, kind, limit: 100 }, stop), 15_000);
  const [ending, setEnding] = useState<Session>();
  return (
    <Page title="Sessions" lead="Every key, token and subject that is good now, those used last first.">
      <div class="toolbar" role="search" aria-label="Filter">
        <Search label="Customer" hint="Customer's id" value={customer_id} onSearch={(customer) => setQuery({ customer })} />
        <Select label="Kind" value={kind} options={KINDS} onChange={(kind) => setQuery({ kind })} />
      </div>
      {error && <Problem error={error} retry={reload} />}
      <div class="card">
        {!data ? (
          !error && <Skeleton lines={6} />
        ) : data.sessions.length ? (
          <Plain label="Sessions" heads={[["Who"], ["Customer"], ["Kind"], ["Last used"], ["Began"], ["Ends"], ["", "end"]]}>
            {data.sessions.map((one) => (
              <tr key={one.session_id}>
                <td>
                  {one.name || one.session_id} {one.role === "admin" && <Badge tone="move">operator</Badge>}
                  <div class="mono faint small">{one.session_id}</div>
                </td>
                <td>
                  <Link href={address(`/operate/customers/${encodeURIComponent(one.customer_id)}`)}>{one.customer_id}</Link>
                </td>
                <td class="nowrap">{WORDS[one.kind] ?? one.kind}</td>
                <td class="nowrap">
                  <Age at={one.last_used_at} />
                  <div class="faint small">{one.last_used_from}</div>
                </td>
                <td class="nowrap">
                  <Age at={one.began_at} />
                </td>
                <td class="nowrap">{one.expires_at ? moment(one.expires_at) : "never"}</td>
                <td class="end">
                  <Button look="danger" aria-label={`End ${one.session_id}`} onClick={() => setEnding(one)}>
                    End
                  </Button>
                </td>
              </tr>
            ))}
          </Plain>
        ) : (
          <Empty icon="keys" title="Nobody is in" />
        )}
      </div>
      {ending && (
        <Confirm
          title={`End ${ending.name || ending.session_id}?`}
          text="Whoever uses it is refused from now on; a key ends with the tokens that were made of it. It can't be taken back."
          verb="End it"
          onConfirm={() => call("DELETE", `/admin/sessions/${encodeURIComponent(ending.session_id)}`).then(reload)}
          done="It is ended"
          onClose={() => setEnding(undefined)}
        />
      )}
    </Page>
  );
}
