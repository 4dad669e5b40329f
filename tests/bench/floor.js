// The platform's floor: the least a Worker can do with a request. It reads nothing and hands the answer back as it
// comes. Calls of the model provider's API go to the provider, everything else to the origin.
export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    const upstream = pathname.startsWith("/v1beta/") ? env.PROVIDER : env.ORIGIN;
    return fetch(new Request(upstream + pathname + search, request));
  },
};
