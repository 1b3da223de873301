"""What messages and processes cost: regrow, the event loop's own floor, and other libraries, side by side."""
