package org.example.nlu;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.ContainerProperties.AckMode;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.support.TopicPartitionOffset;

/** Requests go where the ring is, replies come back to one partition of the topic that all clients share. */
@Configuration
class NluConfiguration {

    private static final String REPLIES = "nlu.replies";

    @Bean
    ReplyingKafkaTemplate<byte[], byte[], byte[]> nluTemplate(
            ProducerFactory<byte[], byte[]> producers, ConsumerFactory<byte[], byte[]> consumers, KafkaAdmin kafka)
            throws ExecutionException, InterruptedException {
        var read = new ContainerProperties(replyPartition(kafka));
        read.setAckMode(AckMode.MANUAL); // an answer to a process that is gone is of no use to the next one
        var template = new ReplyingKafkaTemplate<>(producers, new KafkaMessageListenerContainer<>(consumers, read));
        template.setSharedReplyTopic(true); // others' answers are passed over
        return template;
    }

    /** One partition, read from where it ends now: before the first request, so that no answer is missed. */
    private static TopicPartitionOffset replyPartition(KafkaAdmin kafka)
            throws ExecutionException, InterruptedException {
        try (var admin = Admin.create(kafka.getConfigurationProperties())) {
            var topic = admin.describeTopics(List.of(REPLIES)).allTopicNames().get().get(REPLIES);
            int partition = ThreadLocalRandom.current().nextInt(topic.partitions().size());
            var mine = new TopicPartition(REPLIES, partition);
            long end = admin.listOffsets(Map.of(mine, OffsetSpec.latest())).partitionResult(mine).get().offset();
            return new TopicPartitionOffset(REPLIES, partition, end);
        }
    }
}
