package org.example.nlu;

import java.time.Duration;
import java.util.concurrent.CompletionException;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

/** Asks one question: {@code java -jar target/nlu-service.jar acme-bank "move 40 euros to my savings"}. */
@SpringBootApplication
public class NluApplication {

    public static void main(String[] args) {
        System.exit(SpringApplication.exit(SpringApplication.run(NluApplication.class, args)));
    }

    @Bean
    CommandLineRunner ask(NluClient nlu) {
        return args -> {
            try {
                print(args[1], nlu.predict(args[0], args[1], Duration.ofSeconds(10)).join());
            } catch (CompletionException error) {
                if (error.getCause() instanceof NluException failure) {
                    System.out.printf("%s: %s%n", failure.code(), failure.getMessage());
                } else {
                    throw error;
                }
            }
        };
    }

    private static void print(String text, Reply.Prediction prediction) {
        Reply.Intent best = prediction.intents().get(0);
        System.out.printf("%s %.2f%n", best.name(), best.confidence());
        for (Reply.Entity entity : prediction.entities()) {
            System.out.printf("%s: %s%n", entity.label(), entity.of(text));
        }
        System.out.printf("head %s%n", prediction.versions().head());
    }
}
