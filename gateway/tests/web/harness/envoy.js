// Envoy configurations as in a typical deployment in front of Sentinel.

/** Shorter than two keepalive intervals of the server (10 s each), so that a lost keepalive fails
 * the test. */
export const IDLE_S = 15;

/** Envoy translates gRPC-Web to gRPC for the server, without a gateway. */
export function grpcWebProxy(server) {
  return (port) => proxy(port, server, { filters: ["grpc_web"], isHttp2: true });
}

/** A plain HTTP proxy in front of the gateway. */
export function httpProxy(gateway) {
  return (port) => proxy(port, gateway, { filters: [], isHttp2: false });
}

function proxy(port, upstream, { filters, isHttp2 }) {
  const manager = {
    "@type": kind("network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "web",
    codec_type: "AUTO",
    stream_idle_timeout: `${IDLE_S}s`,
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          // No limit on the duration of a stream; stream_idle_timeout limits its idle time.
          routes: [{ match: { prefix: "/" }, route: { cluster: "upstream", timeout: "0s" } }],
        },
      ],
    },
    http_filters: [...filters.map(filter), routerFilter()],
  };
  return {
    static_resources: {
      listeners: [
        {
          name: "web",
          address: at("127.0.0.1", port),
          filter_chains: [
            {
              filters: [
                { name: "envoy.filters.network.http_connection_manager", typed_config: manager },
              ],
            },
          ],
        },
      ],
      clusters: [cluster(upstream, isHttp2)],
    },
  };
}

function kind(name) {
  return `type.googleapis.com/envoy.extensions.filters.${name}`;
}

function filter(name) {
  return {
    name: `envoy.filters.http.${name}`,
    typed_config: { "@type": kind(`http.${name}.v3.GrpcWeb`) },
  };
}

function routerFilter() {
  return {
    name: "envoy.filters.http.router",
    typed_config: { "@type": kind("http.router.v3.Router") },
  };
}

function at(address, port) {
  return { socket_address: { address, port_value: port } };
}

function cluster(upstream, isHttp2) {
  const [host, port] = upstream.split(":");
  const endpoint = { endpoint: { address: at(host, Number(port)) } };
  const protocol = isHttp2 ? { http2_protocol_options: {} } : { http_protocol_options: {} };
  return {
    name: "upstream",
    type: "STATIC",
    connect_timeout: "2s",
    load_assignment: { cluster_name: "upstream", endpoints: [{ lb_endpoints: [endpoint] }] },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: protocol,
      },
    },
  };
}
