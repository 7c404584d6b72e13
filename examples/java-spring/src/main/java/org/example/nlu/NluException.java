package org.example.nlu;

/** The pipeline answered with an error. The code never changes; the message says what to do. */
public class NluException extends RuntimeException {

    private final String code;

    NluException(Reply.Failure failure) {
        super(failure.message());
        this.code = failure.code();
    }

    /** Such as {@code unknown_tenant} or {@code deadline_exceeded}. */
    public String code() {
        return code;
    }
}
