// The proxy before an edge without Cloudflare: does what the Worker relies on Cloudflare for. A client's own claims about its
// address are dropped; `CF-Connecting-IP` is the address of its connection. Behind a proxy that one is the proxy's, so
// CLIENT_IP_HEADER may name the header in which the proxy puts the client's.
export default {
  fetch(request, env) {
    const headers = new Headers(request.headers);
    headers.delete("CF-Connecting-IP");
    const address = (env.CLIENT_IP_HEADER && told(request, env.CLIENT_IP_HEADER)) || peer(request);
    if (address) headers.set("CF-Connecting-IP", address);
    return env.FRONT.fetch(new Request(request, { headers }));
  },
};

// The last of a list: the nearest proxy wrote it, all before may be forged by the client.
function told(request, header) {
  return request.headers.get(header)?.split(",").pop().trim();
}

// `192.0.2.1:443` or `[2001:db8::1]:443` without the port.
function peer(request) {
  return request.cf?.clientIp?.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
}
