// OkHttp uses the API as its documentation says, without a word about EdgeChat.

import com.squareup.moshi.JsonAdapter;
import com.squareup.moshi.Moshi;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

class OkHttp {
    static final String API = System.getenv("EDGECHAT_URL") + "/api/v1";
    static final OkHttpClient CLIENT = new OkHttpClient();
    static final JsonAdapter<Object> JSON = new Moshi.Builder().build().adapter(Object.class);
    static String token;

    record Event(String id, String type, Object data) {}

    public static void main(String[] args) throws IOException {
        var person = Map.of("email", "okhttp@java.example", "password", "correct horse battery");
        token = field("access_token", expect(201, "POST", "/auth/register", person));

        // Neither this request nor the one that cancels has a body, and none is asked for.
        var conversation = field("id", expect(201, "POST", "/chat/conversations", null));

        // Sends a message and loses the connection after the first words.
        var sent = send("POST", "/chat/conversations/" + conversation + "/messages",
            Map.of("content", "/script hang"), "Accept", "text/event-stream");
        var first = read(sent, event -> !event.type.equals("message.delta"));
        check(types(first), List.of("1 turn.started", "2 message.delta"));
        var turn = field("turn_id", first.get(0).data);
        var path = "/chat/turns/" + turn;

        // Goes on where it was, as if the words had not arrived, and stops the answer.
        var resumed = send("GET", path + "/events", null, "Last-Event-ID", "1");
        var rest = read(resumed, event -> {
            if (event.type.equals("message.delta")) {
                check(field("id", expect(202, "POST", path + "/cancel", null)), turn);
            }
            return true;
        });
        check(types(rest), List.of("2 message.delta", "3 turn.cancelled"));
        check(rest.get(0), first.get(1));
        expect(204, "GET", path + "/events", null, "Last-Event-ID", "3");
        System.out.println("OkHttp: registered, sent, resumed, cancelled, ended");
    }

    /** Reads events until the stream ends or `goesOn` does not hold, and closes the connection. */
    static List<Event> read(Response answer, Predicate<Event> goesOn) throws IOException {
        var events = new ArrayList<Event>();
        String id = null, type = null;
        Object data = null;
        try (answer) {
            check(answer.code(), 200);
            var source = answer.body().source();
            for (var line = source.readUtf8Line(); line != null; line = source.readUtf8Line()) {
                if (line.startsWith("id: ")) {
                    id = line.substring(4);
                } else if (line.startsWith("event: ")) {
                    type = line.substring(7);
                } else if (line.startsWith("data: ")) {
                    data = JSON.fromJson(line.substring(6));
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

    static Object expect(int status, String method, String path, Object body, String... headers) {
        try (var answer = send(method, path, body, headers)) {
            var text = answer.body().string();
            if (answer.code() != status) {
                throw new AssertionError(method + " " + path + ": " + answer.code() + " " + text);
            }
            return text.isEmpty() ? null : JSON.fromJson(text);
        } catch (IOException failure) {
            throw new AssertionError(method + " " + path, failure);
        }
    }

    static Response send(String method, String path, Object body, String... headers) throws IOException {
        var request = new Request.Builder().url(API + path);
        if (body != null) {
            request.method(method, RequestBody.create(JSON.toJson(body), MediaType.get("application/json")));
        } else if (method.equals("POST")) {
            // OkHttp has no POST without a body, but one without a byte and a type.
            request.method(method, RequestBody.create(new byte[0]));
        }
        if (token != null) {
            request.header("Authorization", "Bearer " + token);
        }
        for (var at = 0; at < headers.length; at += 2) {
            request.header(headers[at], headers[at + 1]);
        }
        return CLIENT.newCall(request.build()).execute();
    }

    static String field(String name, Object object) {
        return (String) ((Map<?, ?>) object).get(name);
    }
}
