// The code of one screen. It is loaded when the page is idle, or when the screen is first opened.
// A failure is no error of the page: the screen shows it, and the code can be loaded again.
import type { ComponentType } from "react";

export type CodeState =
  | { status: "absent" }
  | { status: "loading" }
  | { status: "loaded"; Component: ComponentType }
  | { status: "failed"; error: unknown };

export class ScreenCode {
  #import: () => Promise<ComponentType>;
  #state: CodeState = { status: "absent" };
  #listeners = new Set<() => void>();
  #loading: Promise<CodeState> | undefined;

  constructor(load: () => Promise<ComponentType>) {
    this.#import = load;
  }

  state = (): CodeState => this.#state;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Loads the code unless it is loaded. Never throws: the state has the error. */
  load(): Promise<CodeState> {
    if (this.#state.status === "loaded") return Promise.resolve(this.#state);
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(): Promise<CodeState> {
    // A screen that shows a failure keeps showing it until there is something better.
    if (this.#state.status === "absent") this.#set({ status: "loading" });
    try {
      this.#set({ status: "loaded", Component: await this.#import() });
    } catch (error) {
      this.#set({ status: "failed", error });
    }
    return this.#state;
  }

  #set(state: CodeState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}
