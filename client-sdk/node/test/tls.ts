/** TLS options of the test programs, from PEM files that environment variables name. */
import { readFileSync } from "node:fs";
import type { TlsConfig } from "../src/index.js";

const { TEST_CA, TEST_CERT, TEST_KEY } = process.env;

/** Options for a client or a worker. */
export const tlsOptions: { tls?: TlsConfig } =
  TEST_CA === undefined
    ? {}
    : {
        tls: {
          ca: readFileSync(TEST_CA, "utf8"),
          ...(TEST_CERT === undefined ? {} : { cert: readFileSync(TEST_CERT, "utf8") }),
          ...(TEST_KEY === undefined ? {} : { key: readFileSync(TEST_KEY, "utf8") }),
        },
      };
