/** The frame around every page, and which page an address shows. */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { AuditPage } from "./pages/audit";
import { CustomersPage, CustomerPage } from "./pages/customers";
import { FailuresPage } from "./pages/failures";
import { FairnessPage } from "./pages/fairness";
import { FleetPage } from "./pages/fleet";
import { JoinTokensPage } from "./pages/join-tokens";
import { OverviewPage } from "./pages/overview";
import { SessionsPage } from "./pages/sessions";
import { SignInPage } from "./pages/sign-in";
import { SubmitPage } from "./pages/submit";
import { SystemPage } from "./pages/system";
import { TokensPage } from "./pages/tokens";
import { TypePage } from "./pages/type";
import { TypesPage } from "./pages/types";
import { UsagePage } from "./pages/usage";
import { WorkloadPage } from "./pages/workload";
import { WorkloadsPage } from "./pages/workloads";
import { address, go, place } from "./router";
import { isOperator, session, signOut } from "./session";
import { switchTheme, theme } from "./theme";
import type { IconName } from "./ui/icon";
import { Icon } from "./ui/icon";
import { Button, Empty, Link, Note, Page, Toasts } from "./ui/parts";

interface Entry {
  path: string;
  name: string;
  icon: IconName;
  page: ComponentType<{ id: string }>;
}

interface Section {
  name: string;
  operators?: boolean;
  entries: Entry[];
}

const SECTIONS: Section[] = [
  {
    name: "Work",
    entries: [
      { path: "/", name: "Overview", icon: "overview", page: OverviewPage },
      { path: "/workloads", name: "Workloads", icon: "workloads", page: WorkloadsPage },
      { path: "/failures", name: "Failures", icon: "failures", page: FailuresPage },
      { path: "/submit", name: "Submit", icon: "submit", page: SubmitPage },
      { path: "/types", name: "Types", icon: "types", page: TypesPage },
    ],
  },
  {
    name: "Account",
    entries: [
      { path: "/usage", name: "Usage", icon: "usage", page: UsagePage },
      { path: "/tokens", name: "Tokens", icon: "keys", page: TokensPage },
    ],
  },
  {
    name: "Operate",
    operators: true,
    entries: [
      { path: "/operate/fleet", name: "Fleet", icon: "fleet", page: FleetPage },
      { path: "/operate/fairness", name: "Fairness", icon: "fairness", page: FairnessPage },
      { path: "/operate/customers", name: "Customers", icon: "customers", page: CustomersPage },
      { path: "/operate/join-tokens", name: "Join tokens", icon: "keys", page: JoinTokensPage },
      { path: "/operate/sessions", name: "Sessions", icon: "leave", page: SessionsPage },
      { path: "/operate/audit", name: "Audit", icon: "audit", page: AuditPage },
      { path: "/operate/system", name: "System", icon: "system", page: SystemPage },
    ],
  },
];

/** Pages of one thing, below the page of all. */
const DETAILS: Record<string, ComponentType<{ id: string }>> = {
  "/workloads": WorkloadPage,
  "/types": TypePage,
  "/operate/customers": CustomerPage,
};

interface Found {
  entry: Entry;
  section: Section;
  page: ComponentType<{ id: string }>;
  id: string;
}

function find(path: string): Found | undefined {
  for (const section of SECTIONS) {
    for (const entry of section.entries) {
      if (entry.path === path) return { entry, section, page: entry.page, id: "" };
      const detail = DETAILS[entry.path];
      const rest = path.slice(entry.path.length + 1);
      if (detail && path.startsWith(`${entry.path}/`) && rest && !rest.includes("/")) {
        return { entry, section, page: detail, id: decodeURIComponent(rest) };
      }
    }
  }
  return undefined;
}

export function App() {
  const who = session.value;
  if (who === undefined) return null;
  return (
    <>
      {who === null ? <SignInPage /> : <Shell />}
      <Toasts />
    </>
  );
}

function Shell() {
  const [open, setOpen] = useState(false);
  const path = place.value.path;
  useEffect(() => setOpen(false), [path]);
  useKeys(() => setOpen(false));
  const found = find(path);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="top">
        <Brand />
        <Button look="plain" icon={open ? "cancel" : "menu"} label={open ? "Close the menu" : "Open the menu"} aria-expanded={open} onClick={() => setOpen(!open)} />
      </header>
      <Side open={open} current={found?.entry.path} onClose={() => setOpen(false)} />
      <main id="main" tabIndex={-1} key={found?.page === undefined ? path : `${found.entry.path}/${found.id}`}>
        <Shown found={found} />
      </main>
    </div>
  );
}

function Shown({ found }: { found: Found | undefined }) {
  if (!found) {
    return (
      <Page title="There is no such page">
        <Empty icon="info" title="Nothing is at this address">
          <Link href={address("/")}>Go to the overview</Link>
        </Empty>
      </Page>
    );
  }
  if (found.section.operators && !isOperator()) {
    return (
      <Page title="For operators">
        <Note kind="warn">This page is for operators. It needs a key with the admin role; you are signed in as a customer.</Note>
      </Page>
    );
  }
  const Found = found.page;
  return <Found id={found.id} />;
}

function Brand() {
  return (
    <Link class="brand" href={address("/")}>
      <img src="/console/icon.svg" alt="" />
      Niyanta
    </Link>
  );
}

/** Goes to the workload with an id. */
function Find() {
  const [text, setText] = useState("");
  return (
    <form
      role="search"
      class="find"
      onSubmit={(event) => {
        event.preventDefault();
        if (!text.trim()) return;
        go(address(`/workloads/${encodeURIComponent(text.trim())}`));
        setText("");
      }}
    >
      <Icon name="search" />
      <input type="search" aria-label="Find a workload by its id" placeholder="Find a workload" spellcheck={false} autoComplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

/** `/` goes to the page's search, else to the console's; Escape closes the menu. */
function useKeys(closeMenu: () => void) {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (event.key === "Escape") closeMenu();
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || at.closest("input, textarea, select, dialog")) return;
      const field = document.querySelector<HTMLInputElement>("main input[type=search]") ?? document.querySelector<HTMLInputElement>(".find input");
      if (!field?.checkVisibility()) return;
      event.preventDefault();
      field.focus();
      field.select();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

function Side({ open, current, onClose }: { open: boolean; current: string | undefined; onClose: () => void }) {
  const who = session.value!;
  const dark = theme.value === "dark";
  return (
    <aside class={`side ${open ? "open" : ""}`}>
      <div class="card-head-like">
        <Brand />
        {open && <Button look="plain" icon="cancel" label="Close the menu" onClick={onClose} />}
      </div>
      <Find />
      <nav aria-label="Main">
        {SECTIONS.filter((section) => !section.operators || isOperator()).map((section) => (
          <div key={section.name}>
            <h2 id={`nav-${section.name}`}>{section.name}</h2>
            <ul aria-labelledby={`nav-${section.name}`}>
              {section.entries.map((entry) => (
                <li key={entry.path}>
                  <Link href={address(entry.path)} aria-current={entry.path === current ? "page" : undefined} onClick={onClose}>
                    <Icon name={entry.icon} />
                    {entry.name}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      <div class="side-foot">
        <div class="who">
          <b title={who.customer_id}>{who.customer_id}</b>
          <span>{who.role === "admin" ? "operator" : "customer"}</span>
        </div>
        <Button look="plain" icon={dark ? "light" : "dark"} label={dark ? "Use light colours" : "Use dark colours"} onClick={switchTheme} />
        <Button look="plain" icon="leave" label="Sign out" onClick={() => void signOut()} />
      </div>
    </aside>
  );
}
