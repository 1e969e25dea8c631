// The build, and a development server that passes calls on to the gateway of `sentinel dev`.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const GATEWAY = process.env["SENTINEL_GATEWAY"] ?? "http://127.0.0.1:7080";

export default defineConfig({
  plugins: [react()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    port: 5173,
    strictPort: true,
    proxy: Object.fromEntries(
      ["^/sentinel\\.", "/session", "/v1", "/openapi.json", "/docs"].map((path) => [
        path,
        // The gateway knows itself by its own name only; a page of this server is its own.
        { target: GATEWAY, changeOrigin: true, headers: { origin: GATEWAY } },
      ]),
    ),
  },
});
