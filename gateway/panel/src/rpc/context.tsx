// Provides the clients to components.
import { createContext, type ReactNode, useContext } from "react";
import type { Clients } from "./clients";

const Context = createContext<Clients | undefined>(undefined);

export function ClientsProvider({ clients, children }: { clients: Clients; children: ReactNode }) {
  return <Context.Provider value={clients}>{children}</Context.Provider>;
}

export function useClients(): Clients {
  const clients = useContext(Context);
  if (!clients) throw new Error("useClients requires a ClientsProvider");
  return clients;
}
