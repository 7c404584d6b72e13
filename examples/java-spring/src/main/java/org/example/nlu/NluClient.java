package org.example.nlu;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.msgpack.jackson.dataformat.MessagePackFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.stereotype.Component;

/** Sends a text, gives what a tenant's head makes of it. Any number of threads may use it at once. */
@Component
public class NluClient {

    private final ReplyingKafkaTemplate<byte[], byte[], byte[]> template;
    private final String requests;
    private final ObjectMapper msgpack = new ObjectMapper(new MessagePackFactory())
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

    NluClient(ReplyingKafkaTemplate<byte[], byte[], byte[]> template, @Value("${nlu.ring}") String ring) {
        this.template = template;
        this.requests = "nlu." + ring + ".requests";
    }

    /**
     * The prediction; or, in the future, an {@link NluException} that says what is wrong, or Spring's
     * {@code KafkaReplyTimeoutException} if nobody answered in time.
     */
    public CompletableFuture<Reply.Prediction> predict(String tenant, String text, Duration timeout) {
        var request = new ProducerRecord<byte[], byte[]>(requests, packed(new Request(1, text)));
        long deadline = System.currentTimeMillis() + timeout.toMillis();
        request.headers()
                .add("tenant", tenant.getBytes(UTF_8))
                .add("deadline", Long.toString(deadline).getBytes(UTF_8));
        // The template adds the correlation id, the reply topic and its partition.
        return template.sendAndReceive(request, timeout).thenApply(this::prediction);
    }

    private Reply.Prediction prediction(ConsumerRecord<byte[], byte[]> replied) {
        try {
            return msgpack.readValue(replied.value(), Reply.class).orThrow();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private byte[] packed(Request request) {
        try {
            return msgpack.writeValueAsBytes(request);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** A request on the wire: the schema's version, and the text. */
    record Request(int v, String text) {}
}
