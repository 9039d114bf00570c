"""Networks: what can be set of them, how they are built, trained, kept and asked."""
