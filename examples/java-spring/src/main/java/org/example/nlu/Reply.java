package org.example.nlu;

import java.util.List;

/** A reply on the wire: a prediction or a failure, never both. What is not named here is passed over. */
public record Reply(int v, Prediction prediction, Failure failure) {

    Prediction orThrow() {
        if (failure != null) {
            throw new NluException(failure);
        }
        return prediction;
    }

    /** The most likely intent is the first. */
    public record Prediction(List<Intent> intents, List<Entity> entities, Versions versions) {}

    public record Intent(String name, double confidence) {}

    /** A part of the text. Start and end count characters (code points, not Java's chars), the end exclusive. */
    public record Entity(String label, int start, int end, double confidence) {

        String of(String text) {
            return text.substring(text.offsetByCodePoints(0, start), text.offsetByCodePoints(0, end));
        }
    }

    /** Which models made it. */
    public record Versions(String head, String encoder, String space) {}

    record Failure(String code, String message) {}
}
