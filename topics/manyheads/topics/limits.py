"""The limits of the wire, in one place. Every decoder checks them before it allocates."""

MAX_TEXT_CHARACTERS = 8_192
"""Characters of a request's text. Beyond it is refused; beyond MAX_TOKENS it is cut and the reply says so."""

MAX_TOKENS = 250
"""Tokens that an encoder reads of one text, special tokens included."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Bytes of one record's value: 250 tokens x 4,096 wide as float32. Topics are created with this limit."""

MAX_RECORD_BYTES = MAX_MESSAGE_BYTES + 64 * 1024
"""Bytes of one record: its value, key and headers, and what Kafka adds. The limit of every topic but dead letters."""

MAX_DEAD_LETTER_BYTES = MAX_RECORD_BYTES + 64 * 1024
"""Bytes of one dead letter: the largest record that a topic takes, and the reason why it is dead."""

MAX_REQUEST_BYTES = 64 * 1024
"""Bytes of one request's value: MAX_TEXT_CHARACTERS at 4 bytes of UTF-8 each, and room for the envelope."""

MAX_TENSOR_ELEMENTS = 1 << 20
"""Elements of one tensor: 250 tokens x 4 layers x 1,024 wide fits."""

MAX_TENSOR_DIMENSIONS = 4
MAX_NESTING = 16
"""Depth of maps and arrays within one msgpack value."""

MAX_ARRAY_ELEMENTS = 4_096
"""Elements of one msgpack array: some decoders allocate what an array claims before they see any of it."""

MAX_HEADER_BYTES = 1_024
MAX_TARGETS = 1_000
"""Tenants that one request may be for, the first included: as many as a cell has active heads."""

MAX_ERROR_MESSAGE_CHARACTERS = 500
"""Characters of an error's message in a reply or on a dead letter."""

MAX_ENTITIES = 250
