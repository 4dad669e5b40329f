// Java's HttpClient uses the API as its documentation says, without a word about EdgeChat.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;

class Plain {
    static final String API = System.getenv("EDGECHAT_URL") + "/api/v1";
    static final HttpClient CLIENT = HttpClient.newHttpClient();
    static String token;

    record Event(String id, String type, String data) {}

    public static void main(String[] args) throws Exception {
        var person = "{\"email\":\"http-client@java.example\",\"password\":\"correct horse battery\"}";
        token = field("access_token", expect(201, "POST", "/auth/register", person));

        // Neither this request nor the one that cancels has a body, and none is asked for.
        var conversation = field("id", expect(201, "POST", "/chat/conversations", null));

        // Sends a message and loses the connection after the first words.
        var sent = stream("POST", "/chat/conversations/" + conversation + "/messages",
            "{\"content\":\"/script hang\"}", "Accept", "text/event-stream");
        var first = read(sent, event -> !event.type.equals("message.delta"));
        check(types(first), List.of("1 turn.started", "2 message.delta"));
        var turn = field("turn_id", first.get(0).data);
        var path = "/chat/turns/" + turn;

        // Goes on where it was, as if the words had not arrived, and stops the answer.
        var resumed = stream("GET", path + "/events", null, "Last-Event-ID", "1");
        var rest = read(resumed, event -> {
            if (event.type.equals("message.delta")) {
                check(field("id", expect(202, "POST", path + "/cancel", null)), turn);
            }
            return true;
        });
        check(types(rest), List.of("2 message.delta", "3 turn.cancelled"));
        check(rest.get(0), first.get(1));
        expect(204, "GET", path + "/events", null, "Last-Event-ID", "3");
        System.out.println("HttpClient: registered, sent, resumed, cancelled, ended");
    }

    /** Reads events until the stream ends or `goesOn` does not hold, and closes the connection. */
    static List<Event> read(Stream<String> answer, Predicate<Event> goesOn) {
        var events = new ArrayList<Event>();
        String id = null, type = null, data = null;
        try (answer) {
            for (var lines = answer.iterator(); lines.hasNext(); ) {
                var line = lines.next();
                if (line.startsWith("id: ")) {
                    id = line.substring(4);
                } else if (line.startsWith("event: ")) {
                    type = line.substring(7);
                } else if (line.startsWith("data: ")) {
                    data = line.substring(6);
                } else if (line.isEmpty() && data != null) {
                    var event = new Event(id, type, data);
                    data = null;
                    events.add(event);
                    if (!goesOn.test(event)) {
                        break;
                    }
                }
            }
        }
        return events;
    }

    static List<String> types(List<Event> events) {
        return events.stream().map(event -> event.id + " " + event.type).toList();
    }

    static void check(Object found, Object wanted) {
        if (!found.equals(wanted)) {
            throw new AssertionError(found + " instead of " + wanted);
        }
    }

    static String expect(int status, String method, String path, String body, String... headers) {
        var answer = send(BodyHandlers.ofString(), method, path, body, headers);
        if (answer.statusCode() != status) {
            throw new AssertionError(method + " " + path + ": " + answer.statusCode() + " " + answer.body());
        }
        return answer.body();
    }

    static Stream<String> stream(String method, String path, String body, String... headers) {
        var answer = send(BodyHandlers.ofLines(), method, path, body, headers);
        check(answer.statusCode(), 200);
        return answer.body();
    }

    static <T> HttpResponse<T> send(
        HttpResponse.BodyHandler<T> reader, String method, String path, String body, String... headers) {
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
        try {
            return CLIENT.send(request.build(), reader);
        } catch (Exception failure) {
            throw new AssertionError(method + " " + path, failure);
        }
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
