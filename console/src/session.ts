/** Who is signed in. The credential itself is in a cookie that scripts can't read. */
import { signal } from "@preact/signals";
import { ApiError, onSessionEnd, send } from "./api";

export interface Session {
  customer_id: string;
  role: "customer" | "admin";
  scopes: string[];
  /** The only workload that it is good for; null for all. */
  workload_id: string | null;
}

/** Null: nobody; undefined: not known yet. */
export const session = signal<Session | null | undefined>(undefined);
/** Why the sign-in page is shown, when it wasn't asked for. */
export const notice = signal("");

onSessionEnd(() => {
  if (session.value) notice.value = "Your session has ended. Sign in again to go on where you were.";
  session.value = null;
});

export async function findSession(): Promise<void> {
  try {
    const response = await send("GET", "/console/session");
    session.value = response.status === 204 ? null : await response.json();
  } catch (error) {
    session.value = null;
    if (error instanceof ApiError && error.status !== 401) notice.value = error.message;
  }
}

export async function signIn(credential: string): Promise<void> {
  session.value = await (await send("POST", "/console/session", { body: { credential } })).json();
  notice.value = "";
}

export async function signOut(): Promise<void> {
  await send("DELETE", "/console/session");
  notice.value = "You are signed out.";
  session.value = null;
}

export const may = (scope: string): boolean => Boolean(session.value?.scopes.includes(scope));
export const isOperator = (): boolean => may("admin");
