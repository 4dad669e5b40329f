// Java's HttpClient uses the API as its documentation says, without a word about EdgeChat.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

class Plain {
    static final String API = System.getenv("EDGECHAT_URL") + "/api/v1";
    static final HttpClient CLIENT = HttpClient.newHttpClient();
    static String token;

    public static void main(String[] args) throws Exception {
        var person = "{\"email\":\"http-client@java.example\",\"password\":\"correct horse battery\"}";
        token = field("access_token", expect(201, "POST", "/auth/register", person));

        // Neither of these two sends a body, and none is asked for.
        var conversation = field("id", expect(201, "POST", "/chat/conversations", null));
        var turn = field("id", expect(202, "POST", "/chat/conversations/" + conversation + "/messages",
            "{\"content\":\"/script hang\"}", "Prefer", "respond-async"));
        var path = "/chat/turns/" + turn;

        var events = new ArrayList<String>();
        var last = "";
        HttpResponse<Stream<String>> answer =
            CLIENT.send(request("GET", path + "/events", null, "Accept", "text/event-stream"), BodyHandlers.ofLines());
        for (var lines = answer.body().iterator(); lines.hasNext(); ) {
            var line = lines.next();
            if (line.startsWith("id:")) {
                last = line.substring(3).strip();
            } else if (line.startsWith("event:")) {
                events.add(line.substring(6).strip());
                if (line.endsWith("message.delta")) {
                    expect(202, "POST", path + "/cancel", null);
                }
            }
        }
        var wanted = List.of("turn.started", "message.delta", "turn.cancelled");
        if (!events.equals(wanted) || !last.equals("3")) {
            throw new AssertionError(events + ", the last is " + last);
        }
        expect(204, "GET", path + "/events", null, "Last-Event-ID", last);
        System.out.println("HttpClient: registered, sent, followed, cancelled, ended");
    }

    static String expect(int status, String method, String path, String body, String... headers) throws Exception {
        var answer = CLIENT.send(request(method, path, body, headers), BodyHandlers.ofString());
        if (answer.statusCode() != status) {
            throw new AssertionError(method + " " + path + ": " + answer.statusCode() + " " + answer.body());
        }
        return answer.body();
    }

    static HttpRequest request(String method, String path, String body, String... headers) {
        var publisher = body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body);
        var request = HttpRequest.newBuilder(URI.create(API + path)).method(method, publisher);
        if (body != null) {
            request.header("Content-Type", "application/json");
        }
        if (token != null) {
            request.header("Authorization", "Bearer " + token);
        }
        if (headers.length > 0) {
            request.headers(headers);
        }
        return request.build();
    }

    /** The first field of this name: the JDK reads no JSON. */
    static String field(String name, String json) {
        var found = Pattern.compile("\"" + name + "\":\"([^\"]+)\"").matcher(json);
        if (!found.find()) {
            throw new AssertionError(name + " is missing: " + json);
        }
        return found.group(1);
    }
}
