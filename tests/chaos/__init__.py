"""One hundred small tasks while everything around them is killed, stopped, locked and filled, and what must hold."""
