// The proxy baseline: the least a Worker can do with a request. It reads nothing and streams the origin's response.
export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(new Request(env.ORIGIN + pathname + search, request));
  },
};
