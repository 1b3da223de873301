"""How cost grows: with the nodes of a full mesh, counted in messages, and with the processes of a node, measured."""
