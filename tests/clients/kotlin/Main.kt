// The Kotlin client that OpenAPI Generator makes, with OkHttp as it comes: registers, sends a message, reads the events of a
// stream, stays with a model that says nothing for longer than OkHttp's read timeout, and stops it.

import edgechat.client.apis.AuthApi
import edgechat.client.apis.ChatApi
import edgechat.client.infrastructure.ApiClient
import edgechat.client.infrastructure.RequestConfig
import edgechat.client.infrastructure.Serializer
import edgechat.client.models.MessageCompleted
import edgechat.client.models.MessageDelta
import edgechat.client.models.RegisterRequest
import edgechat.client.models.SendMessage
import edgechat.client.models.TurnCompleted
import edgechat.client.models.TurnEnded
import edgechat.client.models.TurnStarted
import edgechat.client.models.TurnStatus
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.system.exitProcess
import okhttp3.MediaType.Companion.toMediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody
import okhttp3.Response
import okhttp3.sse.EventSource
import okhttp3.sse.EventSourceListener
import okhttp3.sse.EventSources

val base: String = System.getenv("EDGECHAT_URL")

/** As OkHttp comes: it gives up when nothing arrives for ten seconds. */
val http = OkHttpClient()
const val SILENCE_S = 11L

/** One event, or the end of the stream. */
data class Item(val id: String?, val type: String, val data: String)

const val CLOSED = "closed"
const val FAILED = "failed"

fun main() {
    val auth = AuthApi(base, http)
    val tokens = auth.register(RegisterRequest(email = "okhttp@kotlin.example", password = "correct horse battery"))
    ApiClient.accessToken = tokens.accessToken
    val chat = ChatApi(base, http)

    // Sends a message, and reads its answer again as events.
    val conversation = chat.createConversation()
    val sent = chat.sendMessage(conversation.id, SendMessage(content = "Hello"))
    check(sent.status == TurnStatus.completed) { sent }
    val replay = follow(request(chat.followTurnRequestConfig(sent.turnId, null, null)))
    val events = generateSequence { replay.next().takeIf { it.type != CLOSED } }.toList()
    check(events.first().read<TurnStarted>().turnId == sent.turnId)
    val words = events.filter { it.type == "message.delta" }.joinToString("") { it.read<MessageDelta>().text }
    check(words == sent.assistantMessage.content) { words }
    check(events.first { it.type == "message.completed" }.read<MessageCompleted>().message.id == sent.assistantMessage.id)
    check(events.last().type == "turn.completed" && events.last().read<TurnCompleted>().turnId == sent.turnId) { events }

    // Nothing follows the last event.
    val rest = request(chat.followTurnRequestConfig(sent.turnId, null, events.last().id!!.toLong()))
    http.newCall(rest.build()).execute().use { check(it.code == 204) { it } }

    // Both at once: a model that falls silent, and one that never speaks.
    val failures = LinkedBlockingQueue<Throwable>()
    val patience = listOf("hang" to listOf("turn.started", "message.delta"), "mute" to listOf("turn.started"))
    patience.map { (script, first) ->
        thread {
            try {
                stayAndStop(chat, script, first)
            } catch (failure: Throwable) {
                failures.add(failure)
            }
        }
    }.forEach { it.join() }
    failures.firstOrNull()?.let { throw it }
    println("the generated Kotlin client: registered, sent, followed, waited, cancelled")
    exitProcess(0)
}

fun stayAndStop(chat: ChatApi, script: String, first: List<String>) {
    val conversation = chat.createConversation()
    val message = SendMessage(content = "/script $script")
    val stream = follow(request(chat.sendMessageRequestConfig(conversation.id, message, null, null), message))
    val started = stream.next()
    val turn = started.read<TurnStarted>().turnId
    check(listOf(started.type) + first.drop(1).map { stream.next().type } == first)
    val early = stream.poll(SILENCE_S)
    check(early == null) { "$script: nothing should come, and the connection should stay: $early" }

    check(chat.cancelTurn(turn).id == turn)
    val last = generateSequence { stream.next().takeIf { it.type != CLOSED } }.last()
    check(last.type == "turn.cancelled" && last.read<TurnEnded>().turnId == turn) { "$script: $last" }
}

/** A request as the generated client describes it, which reads events instead of JSON. */
fun <T> request(config: RequestConfig<T>, body: Any? = null): Request.Builder {
    val query = config.query.entries.joinToString("&") { (name, values) -> "$name=${values.first()}" }
    val request = Request.Builder().url(base + config.path + if (query.isEmpty()) "" else "?$query")
    config.headers.forEach { (name, value) -> request.header(name, value) }
    request.header("Authorization", "Bearer ${ApiClient.accessToken}").header("Accept", "text/event-stream")
    val json = body?.let { Serializer.moshi.adapter<Any>(it::class.java).toJson(it) }
    return request.method(config.method.name, json?.toRequestBody("application/json".toMediaType()))
}

/** The events of a stream, as they come. */
class Stream {
    val items = LinkedBlockingQueue<Item>()

    fun poll(seconds: Long): Item? = items.poll(seconds, TimeUnit.SECONDS)

    fun next(): Item {
        val item = poll(30) ?: error("no event in 30 s")
        check(item.type != FAILED) { item.data }
        return item
    }
}

fun follow(request: Request.Builder): Stream {
    val stream = Stream()
    val listener = object : EventSourceListener() {
        override fun onEvent(eventSource: EventSource, id: String?, type: String?, data: String) {
            stream.items.add(Item(id, type ?: "message", data))
        }

        override fun onClosed(eventSource: EventSource) {
            stream.items.add(Item(null, CLOSED, ""))
        }

        override fun onFailure(eventSource: EventSource, t: Throwable?, response: Response?) {
            stream.items.add(Item(null, FAILED, "$t $response"))
        }
    }
    EventSources.createFactory(http).newEventSource(request.build(), listener)
    return stream
}

inline fun <reified T : Any> Item.read(): T =
    Serializer.moshi.adapter(T::class.java).fromJson(data) ?: error("$type without data")
