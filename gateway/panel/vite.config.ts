// Configures the build, and a development server that proxies calls to the gateway of
// `sentinel dev`.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const GATEWAY = process.env.SENTINEL_GATEWAY ?? "http://127.0.0.1:7080";

export default defineConfig({
  plugins: [react()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    port: 5173,
    strictPort: true,
    proxy: Object.fromEntries(
      ["^/sentinel\\.", "/session", "/v1", "/openapi.json", "/docs"].map((path) => [
        path,
        // Host and origin of the gateway, so that it accepts pages of this server as its own.
        { target: GATEWAY, changeOrigin: true, headers: { origin: GATEWAY } },
      ]),
    ),
  },
});
