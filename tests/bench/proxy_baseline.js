// The proxy baseline: the least a Worker can do with a request. It reads nothing and returns the origin's answer as it comes.
export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(new Request(env.ORIGIN + pathname + search, request));
  },
};
